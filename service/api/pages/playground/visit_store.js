// Keeps the takes of a visit in the browser, so that a reload loses nothing. A visit is a tab; what is older than a day
// goes. It knows nothing of what a take holds but its `id` and `at`.

const NAME = "xmdpt-playground";
const DAY_MS = 24 * 3600 * 1000;

/** The takes of this tab. */
export class VisitStore {
  constructor() {
    this.visit = sessionStorage.getItem("xmdpt-visit") ?? newId();
    sessionStorage.setItem("xmdpt-visit", this.visit);
  }

  /** @returns {Promise<Array<object>>} the oldest first; none where the browser keeps nothing */
  async load() {
    try {
      this.base = await open();
    } catch {
      return [];
    }
    const all = await this.#do("readonly", (takes) => takes.getAll());
    const stale = all.filter(({ at }) => at < Date.now() - DAY_MS);
    await Promise.all(stale.map(({ id }) => this.#do("readwrite", (takes) => takes.delete(id))));
    const own = all.filter((take) => take.visit === this.visit && !stale.includes(take));
    return own.sort((one, other) => one.at - other.at);
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
