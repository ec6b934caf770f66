// The card of the pose: the editor with its tools, named poses, and poses from files and photos.

import { element, icon, say } from "../common/elements.js";
import { readPose } from "./generation.js";
import { takeDrops } from "./photo.js";
import { JOINTS, Timeline, fitted, mirrored, pointsOf } from "./pose.js";
import { thumbnail } from "./pose_drawing.js";
import { PoseEditor } from "./pose_editor.js";
import { faultWords } from "./words.js";

// Not the first example's own pose, and one that the shipped model draws well.
const FIRST_POSE = "standing";

/**
 * A pose: `points` in px of the model's frame, or a drawing that the service keeps, by `id`, with `picture` to show.
 * One of the service's named poses says so by `preset`; a file of the visitor's may have the same name.
 * @typedef {{name?: string, preset?: string, points?: Array<{x: number, y: number}|null>, id?: string,
 *   picture?: string}} Pose
 */
export class PosePanel {
  #timeline = null;
  #first = null;
  #aspect = 1;
  #presets = [];

  /**
   * @param {HTMLElement} card
   * @param {import("../common/client.js").Client} client
   * @param {object} tell
   * @param {() => void} tell.changed there is another pose
   * @param {(pose: Pose) => void} tell.preset a named pose was clicked
   */
  constructor(card, client, tell) {
    this.card = card;
    this.client = client;
    this.tell = tell;
    for (const name of ["drawing", "error", "joint", "missing", "presets", "busy"]) {
      this[name] = card.querySelector(`[data-${name}]`);
    }
    this.tools = Object.fromEntries([...card.querySelectorAll("[data-tool]")].map((each) => [each.dataset.tool, each]));
    this.canvas = card.querySelector("[data-editor]");
    this.editor = new PoseEditor(this.canvas, {
      changed: (points) => this.use({ points }),
      selected: (joint) => this.#describe(joint),
    });
    this.#listen();
  }

  /** The pose as it stands; null before there is one. */
  get pose() { return this.#timeline?.present ?? null; }

  /** Show the named poses. */
  offer(presets) {
    this.#presets = presets.map((each) => ({ name: each.name, preset: each.name, points: pointsOf(each) }));
    this.#drawPresets();
    if (!this.#timeline) this.use(this.#presets.find(({ name }) => name === FIRST_POSE) ?? this.#presets[0]);
  }

  /** Another pose; `undo` finds the way back. */
  use(pose) {
    if (this.#timeline) this.#timeline.add(pose);
    else this.#timeline = new Timeline(pose);
    if (!pose.points || pose.name) this.#first = pose;
    this.#draw();
  }

  /** Show everything in another shape. */
  shape(aspect) {
    this.#aspect = aspect;
    this.card.style.setProperty("--aspect", aspect);
    this.#drawPresets();
    if (this.#timeline) this.#draw();
  }

  /** Mark the named poses that are in use. */
  mark(isUsed) {
    for (const button of this.presets.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(isUsed(button.dataset.preset)));
    }
  }

  /** Say what is wrong with the pose, or that nothing is. */
  fail(sentence) { say(this.error, sentence); }

  #draw() {
    const { pose } = this;
    this.drawing.hidden = !pose.picture;
    this.canvas.toggleAttribute("hidden", Boolean(pose.picture));
    if (pose.picture) {
      this.drawing.src = pose.picture;
      this.joint.textContent = "This pose came as a drawing and is used as it is.";
      this.missing.replaceChildren();
    } else this.editor.show(pose.points, this.#aspect);
    this.tools.undo.disabled = !this.#timeline.canUndo;
    this.tools.redo.disabled = !this.#timeline.canRedo;
    for (const name of ["mirror", "fit", "hide"]) this.tools[name].disabled = Boolean(pose.picture);
    this.fail("");
    this.tell.changed();
  }

  #describe(joint) {
    const { points } = this.pose ?? {};
    const point = points?.[joint];
    this.joint.textContent = point ? `${JOINTS[joint]} · x ${Math.round(point.x)}, y ${Math.round(point.y)}` : "";
    const missing = (points ?? []).flatMap((each, index) => (each ? [] : [index]));
    if (this.missing.dataset.joints === missing.join()) return;
    this.missing.dataset.joints = missing.join();
    this.missing.replaceChildren(...missing.map((index) => this.#missingButton(index)));
  }

  #missingButton(index) {
    const button = element("button", { type: "button", className: "chip", "aria-label": `Show ${JOINTS[index]}` });
    button.append(icon("add"), JOINTS[index]);
    button.addEventListener("click", () => this.#bringBack(index));
    return button;
  }

  /** Where it was last, else where the named pose has it, else beside the middle of the others. */
  #bringBack(index) {
    const { points } = this.pose;
    const states = this.#timeline.states.slice(0, this.#timeline.index).reverse();
    const seen = points.filter(Boolean);
    const middle = (side) => seen.reduce((sum, each) => sum + each[side], 0) / seen.length;
    const found = states.find((state) => state.points?.[index])?.points[index] ?? { x: middle("x"), y: middle("y") };
    this.use({ points: points.map((each, other) => (other === index ? found : each)) });
    this.editor.handles[index].focus();
  }

  #drawPresets() {
    this.presets.replaceChildren(...this.#presets.map((pose) => this.#presetButton(pose)));
    this.tell.changed();
  }

  #presetButton(pose) {
    const label = pose.name.replaceAll("_", " ");
    const button = element("button", { type: "button", className: "tile dark", title: label, "aria-label": label });
    button.append(thumbnail(pose, this.#aspect));
    button.dataset.preset = pose.preset;
    button.addEventListener("click", () => this.tell.preset(pose));
    return button;
  }

  #listen() {
    const acts = {
      undo: () => this.#goBack("undo"),
      redo: () => this.#goBack("redo"),
      mirror: () => this.use({ points: mirrored(this.pose.points) }),
      fit: () => this.use({ points: fitted(this.pose.points) }),
      reset: () => this.use(this.#first),
      hide: () => this.editor.hide(this.editor.selected),
    };
    for (const [name, act] of Object.entries(acts)) {
      this.tools[name].addEventListener("click", () => this.pose && act());
    }
    this.card.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || !this.pose) return;
      event.preventDefault();
      this.#goBack(event.shiftKey ? "redo" : "undo");
    });
    for (const kind of ["photo", "file"]) {
      const input = this.card.querySelector(`[data-from=${kind}]`);
      this.card.querySelector(`[data-choose=${kind}]`).addEventListener("click", () => input.click());
      input.addEventListener("change", () => {
        if (input.files[0]) this.#read(input.files[0], kind === "photo");
        input.value = "";
      });
    }
    takeDrops(this.card, (file) => this.#read(file, file.type.startsWith("image/")));
  }

  #goBack(way) {
    this.#timeline[way]();
    this.#draw();
  }

  async #read(file, isPhoto) {
    this.fail("");
    this.busy.textContent = isPhoto ? "Looking for a person…" : "Reading the file…";
    try {
      const found = await readPose(this.client, file, isPhoto);
      const name = file.name.replace(/\.\w+$/, "");
      this.use(found.picture ? { ...found, name } : { points: pointsOf(found), name });
    } catch (problem) {
      this.fail(faultWords(problem));
    } finally {
      this.busy.textContent = "";
    }
  }
}
