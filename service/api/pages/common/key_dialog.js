// Asks the visitor for an API key. The page's dialog has the id `key-dialog`, with a form, an input and a message.

/**
 * @param {boolean} isRefused a key was given, and is not good
 * @returns {Promise<string|null>} the key; null if the visitor would rather not
 */
export function askForKey(isRefused) {
  const dialog = document.getElementById("key-dialog");
  const input = dialog.querySelector("input");
  dialog.querySelector("[data-message]").textContent = isRefused
    ? "This key is not valid, or no longer. Check it and try again."
    : "This server wants an API key. It is kept in this tab until you close it.";
  input.value = "";
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "use" ? input.value.trim() || null : null),
      { once: true },
    );
  });
}
