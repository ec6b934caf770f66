// Which poses the next take is of: the one in the editor, several, or all on the way from one to another.

import { element, icon } from "../common/elements.js";
import { thumbnail } from "./pose_drawing.js";

const MOST_POSES = 12;

/** The switch between one, several and morph, and the poses that it holds. */
export class PoseChoice {
  #several = [];
  #ends = [null, null];
  #end = 0;

  /**
   * @param {HTMLElement} card with radio buttons `mode`, `data-chosen`, `data-ends` and an input `count`
   * @param {object} tell
   * @param {() => object} tell.pose the pose in the editor
   * @param {(pose: object) => void} tell.edit put another one there
   * @param {() => void} tell.changed something else is going to be made
   */
  constructor(card, tell) {
    this.card = card;
    this.tell = tell;
    this.aspect = 1;
    this.several = card.querySelector("[data-several]");
    this.chosen = card.querySelector("[data-chosen]");
    this.morph = card.querySelector("[data-morph]");
    this.ends = [...card.querySelectorAll("[data-end]")];
    this.count = card.querySelector("[name=count]");
    this.add = card.querySelector("[data-add]");
    for (const radio of card.querySelectorAll("[name=mode]")) {
      radio.addEventListener("change", () => this.#switched());
    }
    this.count.addEventListener("input", () => this.#draw());
    this.add.addEventListener("click", () => this.#add(this.tell.pose()));
    this.ends.forEach((button, end) => button.addEventListener("click", () => this.#edit(end)));
  }

  get mode() { return this.card.querySelector("[name=mode]:checked").value; }
  /** Both ends of the morph. */
  get way() { return this.#ends; }
  get poses() { return this.mode === "several" ? this.#several : [this.tell.pose()]; }
  get numPictures() { return this.mode === "morph" ? Number(this.count.value) : this.poses.length; }

  /** There is another pose in the editor. */
  edited(pose) {
    if (this.mode === "morph") this.#ends = this.#ends.map((old, end) => (end === this.#end ? pose : (old ?? pose)));
    this.#draw();
  }

  /** A preset was clicked: of several it is one more, or one less. */
  preset(pose) {
    if (this.mode !== "several") return;
    const index = this.#several.findIndex(({ preset }) => preset === pose.preset);
    if (index < 0) this.#add(pose);
    else this.#remove(index);
  }

  /** Whether a preset is among those that are going to be made. */
  has(preset) {
    const poses = this.mode === "several" ? this.#several : [this.tell.pose()];
    return poses.some((each) => each?.preset === preset);
  }

  /** Show the poses of a take that was made before. */
  show(mode, poses) {
    this.card.querySelector(`[name=mode][value=${mode}]`).checked = true;
    if (mode === "several") this.#several = [...poses];
    if (mode === "morph") {
      this.#ends = [poses[0], poses.at(-1)];
      this.#end = 0;
      this.count.value = poses.length;
    }
    this.#draw();
  }

  /** Draw in another shape. */
  shape(aspect) {
    this.aspect = aspect;
    this.#draw();
  }

  #switched() {
    const present = this.tell.pose();
    // The service has not told its poses yet.
    if (!present) return this.#draw();
    if (this.mode === "several" && !this.#several.length) this.#several = [present];
    if (this.mode === "morph") {
      this.#ends = [this.#ends[0] ?? present, this.#ends[1] ?? present];
      this.#edit(this.#end);
    }
    this.#draw();
  }

  #edit(end) {
    this.#end = end;
    this.tell.edit(this.#ends[end]);
  }

  #add(pose) {
    if (this.#several.length < MOST_POSES) this.#several = [...this.#several, pose];
    this.#draw();
  }

  #remove(index) {
    this.#several = this.#several.filter((_, each) => each !== index);
    this.#draw();
  }

  #draw() {
    this.several.hidden = this.mode !== "several";
    this.morph.hidden = this.mode !== "morph";
    this.chosen.replaceChildren(...this.#several.map((pose, index) => this.#chip(pose, index)));
    this.ends.forEach((button, end) => {
      button.setAttribute("aria-pressed", String(end === this.#end));
      const old = button.querySelector(".pose-thumbnail");
      if (this.#ends[end]) {
        const drawing = thumbnail(this.#ends[end], this.aspect);
        if (old) old.replaceWith(drawing);
        else button.prepend(drawing);
      }
    });
    this.add.disabled = this.#several.length >= MOST_POSES;
    this.card.querySelector("[data-count]").textContent = this.count.value;
    this.tell.changed();
  }

  #chip(pose, index) {
    const label = `Remove ${pose.name ?? "own pose"}`;
    const button = element("button", { type: "button", className: "tile", title: label, "aria-label": label });
    button.append(thumbnail(pose, this.aspect), element("span", { className: "badge" }, icon("close")));
    button.addEventListener("click", () => {
      this.#remove(index);
      const next = this.chosen.children[Math.min(index, this.#several.length - 1)]?.firstChild;
      (next ?? this.add).focus();
    });
    return element("li", {}, button);
  }
}
