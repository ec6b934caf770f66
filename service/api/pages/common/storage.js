// Short texts by name that outlive the page: those of a tab, and those of the browser. Where the browser keeps nothing
// for this origin (its visitor has blocked that, or the room is full), they last as long as the page.

/** As much of `Storage` as the pages use. */
class Memory {
  #texts = new Map();

  getItem(name) { return this.#texts.get(name) ?? null; }
  setItem(name, text) { this.#texts.set(name, text); }
  removeItem(name) { this.#texts.delete(name); }
}

function usable(kind) {
  try {
    // Reading the property fails where storage is blocked, writing where the room is full.
    const storage = window[kind];
    storage.setItem("xmdpt-probe", "");
    storage.removeItem("xmdpt-probe");
    return storage;
  } catch {
    return new Memory();
  }
}

/** Until the tab is closed. */
export const tabStorage = usable("sessionStorage");
/** Until the visitor clears it. */
export const browserStorage = usable("localStorage");
