// Keeps the takes of a visit in the browser, so that a reload loses nothing. A visit is a tab. Opening the page clears
// what is older than a day and, after an hour, what tabs left that are closed. It knows nothing of what a take holds
// but its `id` and `at`.

import { tabStorage } from "../common/storage.js";

const NAME = "xmdpt-playground";
const HOUR_MS = 3600 * 1000;
const DAY_MS = 24 * HOUR_MS;
const LOCK = "xmdpt-visit-";

/** The takes of this tab. */
export class VisitStore {
  constructor() {
    this.visit = tabStorage.getItem("xmdpt-visit") ?? newId();
    tabStorage.setItem("xmdpt-visit", this.visit);
    // Held as long as the page is open: so others know that this visit is not over. A copied tab has the same one.
    navigator.locks?.request(LOCK + this.visit, { mode: "shared" }, () => new Promise(() => {})).catch(() => {});
  }

  /** @returns {Promise<Array<object>>} the oldest first; none where the browser keeps nothing */
  async load() {
    try {
      this.base = await open();
    } catch {
      return [];
    }
    const all = await this.#all();
    const isOpen = await this.#visitsOpen();
    // A visitor may be on another page of the tab: an hour is left for the way back.
    const stale = all.filter(({ at, visit }) => at < Date.now() - (isOpen(visit) ? DAY_MS : HOUR_MS));
    await Promise.all(stale.map(({ id }) => this.remove(id)));
    const own = all.filter((take) => take.visit === this.visit && !stale.includes(take));
    return own.sort((one, other) => one.at - other.at);
  }

  /** Takes that are kept for other tabs, open or closed. */
  async others() {
    return this.base ? (await this.#all()).filter(({ visit }) => visit !== this.visit) : [];
  }

  /** Keep a take, or what became of it. */
  async keep(take) {
    if (!this.base) return;
    // A disk that is full takes the history, not the picture.
    await this.#do("readwrite", (takes) => takes.put({ ...take, visit: this.visit })).catch(() => {});
  }

  async remove(id) {
    if (this.base) await this.#do("readwrite", (takes) => takes.delete(id));
  }

  #all() { return this.#do("readonly", (takes) => takes.getAll()); }

  /** Whether a visit's tab is open; a browser that does not tell (it does over HTTPS only) may have all open. */
  async #visitsOpen() {
    const locks = await navigator.locks?.query().catch(() => null);
    if (!locks) return () => true;
    const names = locks.held.map(({ name }) => name);
    return (visit) => visit === this.visit || names.includes(LOCK + visit);
  }

  #do(mode, act) {
    return promised(act(this.base.transaction("takes", mode).objectStore("takes")));
  }
}

/** For a take. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function open() {
  const request = indexedDB.open(NAME, 1);
  request.addEventListener("upgradeneeded", () => request.result.createObjectStore("takes", { keyPath: "id" }));
  return promised(request);
}

function promised(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}
