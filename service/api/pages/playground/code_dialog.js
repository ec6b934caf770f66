// Shows the same picture as code, and copies it.

import { curl, python } from "./snippets.js";

/**
 * @param {HTMLDialogElement} dialog with `data-code` elements and a `data-copy` button for each
 * @param {HTMLButtonElement} button opens it
 * @param {() => {order: object, hasKey: boolean}|null} present what is asked for at this moment
 */
export function offerCode(dialog, button, present) {
  const write = { curl, python };
  button.addEventListener("click", () => {
    const now = present();
    if (!now) return;
    for (const code of dialog.querySelectorAll("[data-code]")) {
      code.textContent = write[code.dataset.code](now.order, location.origin, now.hasKey);
    }
    for (const status of dialog.querySelectorAll("[data-copied]")) status.textContent = "";
    dialog.showModal();
  });
  for (const copy of dialog.querySelectorAll("[data-copy]")) {
    const code = dialog.querySelector(`[data-code=${copy.dataset.copy}]`);
    const status = dialog.querySelector(`[data-copied=${copy.dataset.copy}]`);
    copy.addEventListener("click", async () => { status.textContent = await copied(code); });
  }
}

/** Browsers give pages the clipboard over https and on this computer only. */
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return "Copied.";
  } catch {
    getSelection().selectAllChildren(code);
    return "Selected: copy it with Ctrl+C.";
  }
}
