// The list of what this visit has made: a button each, which brings everything back.

import { element } from "../common/elements.js";
import { thumbnail } from "./pose_drawing.js";

const MODES = { one: "", several: "Several poses", morph: "Morph" };

/** The card of the history. */
export class HistoryView {
  #items = new Map();

  /**
   * @param {HTMLElement} card with `data-list`
   * @param {(take: object) => void} bringBack called with the take that was clicked
   */
  constructor(card, bringBack) {
    this.card = card;
    this.list = card.querySelector("[data-list]");
    this.bringBack = bringBack;
  }

  /** All takes, the oldest first. */
  get takes() { return [...this.#items.values()].map(({ take }) => take).reverse(); }

  /** A take, new or changed. */
  put(take) {
    const known = this.#items.get(take.id);
    if (known?.address) URL.revokeObjectURL(known.address);
    const shot = take.shots.find(Boolean);
    const address = shot ? URL.createObjectURL(shot.blob) : null;
    const item = element("li", {}, this.#button(take, address));
    if (known) known.item.replaceWith(item);
    else this.list.prepend(item);
    // The newest first, as in the list.
    const others = [...this.#items].filter(([id]) => id !== take.id);
    if (known) this.#items.set(take.id, { take, item, address });
    else this.#items = new Map([[take.id, { take, item, address }], ...others]);
    this.card.hidden = false;
  }

  /** Say which one is shown. */
  mark(take) {
    for (const { take: each, item } of this.#items.values()) {
      item.firstChild.setAttribute("aria-pressed", String(each === take));
    }
  }

  /** Take one out of the list, if it is there; an empty list is not shown. */
  remove(id) {
    const known = this.#items.get(id);
    if (!known) return;
    if (known.address) URL.revokeObjectURL(known.address);
    known.item.remove();
    this.#items.delete(id);
    this.card.hidden = this.#items.size === 0;
  }

  #button(take, address) {
    const time = new Date(take.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    const picture = address ? element("img", { src: address, alt: "" }) : thumbnail(take.poses[0], take.aspect);
    const words = [MODES[take.mode], take.poses[0].name ?? "own pose", take.status === "succeeded" ? "" : take.status];
    const label = `${time}: ${words.filter(Boolean).join(", ")}`;
    const button = element("button", { type: "button", className: "tile", title: label, "aria-label": label }, picture);
    if (take.mode !== "one") button.append(element("span", { className: "badge" }, String(take.poses.length)));
    button.style.setProperty("--aspect", take.aspect);
    button.dataset.status = take.status;
    button.addEventListener("click", () => this.bringBack(take));
    return button;
  }
}
