// Asks the visitor for an API key, in a dialog that it adds to the page.

import { isUsableKey } from "./client.js";
import { element } from "./elements.js";

const message = element("p", { "data-message": "" });
const input = element("input", {
  id: "key-input", type: "password", autocomplete: "off", spellcheck: false, placeholder: "xmdpt_…",
});
const dialog = element(
  "dialog",
  { id: "key-dialog", "aria-labelledby": "key-title" },
  element(
    "form",
    { method: "dialog", className: "stack" },
    element("h2", { id: "key-title" }, "API key"),
    message,
    element("label", { for: "key-input" }, "Key"),
    input,
    element(
      "div",
      { className: "row" },
      element("button", { className: "primary", value: "use" }, "Use this key"),
      element("button", { value: "cancel", formNoValidate: true }, "Cancel"),
    ),
  ),
);
document.body.append(dialog);

/**
 * @param {boolean} isRefused a key was given, and is not good
 * @returns {Promise<string|null>} the key; null if the visitor would rather not
 */
export function askForKey(isRefused) {
  return ask(
    isRefused
      ? "This key is not valid, or no longer. Check it and try again."
      : "This server wants an API key. It is kept in this tab until you close it.",
  );
}

/**
 * Have a button change or forget the key in use.
 * @param {HTMLButtonElement} button
 * @param {import("./client.js").Client} client
 * @param {() => void} changed called when there is another key, or none
 */
export function offerKeys(button, client, changed) {
  button.addEventListener("click", async () => {
    const key = await ask(
      client.key
        ? "A key is in use. Give another one, or nothing to forget it."
        : "No key is in use. One that you give is kept in this tab until you close it.",
      true,
    );
    if (key === null) return;
    client.useKey(key);
    changed();
  });
}

/** The key in the input, which may be empty if that means something; null without one. Of what is no key, ask again. */
function ask(sentence, mayBeEmpty = false) {
  message.textContent = sentence;
  input.value = "";
  // What an earlier visit to the dialog ended with is no answer to this one.
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const key = dialog.returnValue === "use" ? input.value.trim() : null;
        if (key && !isUsableKey(key)) {
          resolve(ask("A key has only ASCII letters, digits and signs, and no gap. Check it.", mayBeEmpty));
        } else resolve(key || mayBeEmpty ? key : null);
      },
      { once: true },
    );
  });
}
