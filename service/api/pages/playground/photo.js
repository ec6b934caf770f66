// The visitor's photo: chosen, dropped, pasted, or one of the examples. It sends nothing anywhere.

import { NATURAL_ASPECT } from "./pose.js";
import { element, say } from "../common/elements.js";

/** Pictures that come with the page; `label` says what a screen reader is told. */
export const EXAMPLES = [
  { file: "blouse.webp", label: "Rendered person in a blue blouse and a green skirt" },
  { file: "person.webp", label: "Rendered person in a grey shirt and red trousers" },
  { file: "dress.webp", label: "Rendered person in a pink dress" },
  { file: "tee.webp", label: "Rendered person in a white shirt and green shorts" },
  { file: "astronaut.webp", label: "Photo of an astronaut" },
];
const FOLDER = "/pages/playground/examples/";
const TAKEN = ["image/png", "image/jpeg", "image/webp"];
const MAX_MEGABYTES = 8;
const NEARLY = 0.12;

/** Address of an example's file. */
export const exampleAddress = (file) => new URL(FOLDER + file, location.href).href;

/**
 * A photo that can be shown and sent.
 * @typedef {object} Photo
 * @property {Blob} blob the file as it is
 * @property {string} name
 * @property {number} width of the upright picture, px; likewise height
 * @property {string|null} example file name of an example
 * @property {object} ids of its uploads, by the way in which they were cropped
 */

const aspectOf = (photo) => photo.width / photo.height;

/** The card in which a photo is chosen. */
export class PhotoPicker {
  #known = new Map();
  #address = null;

  /**
   * @param {HTMLElement} card with `data-examples`, `data-error`, `data-name`, a file input and checkboxes
   * @param {() => void} changed called when there is another photo, or it is used in another way
   */
  constructor(card, changed) {
    this.card = card;
    this.changed = changed;
    this.picture = card.querySelector("[data-picture]");
    this.error = card.querySelector("[data-error]");
    this.framed = card.querySelector("[name=framed]");
    this.shaped = card.querySelector("[name=shaped]");
    this.input = card.querySelector("input[type=file]");
    this.#listen();
    this.examples = EXAMPLES.map((example) => this.#exampleButton(example));
    card.querySelector("[data-examples]").append(...this.examples);
  }

  /** Width by height in which pose and picture of this photo are shown. */
  get aspect() {
    if (this.fit === "model" || this.framed.checked || !this.photo) return NATURAL_ASPECT;
    return aspectOf(this.photo);
  }

  /** As `output.fit` of a request; a photo that is framed has the model's own shape, in which people look right. */
  get fit() { return this.shaped.checked || this.framed.checked ? "source" : "model"; }

  /** Show a photo in the way in which it was used before, such as one of the history. */
  bringBack({ photo, isFramed, fit }) {
    this.framed.checked = isFramed;
    this.shaped.checked = fit === "source";
    this.#show(photo);
  }

  #show(photo) {
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.photo = photo;
    this.#address = URL.createObjectURL(photo.blob);
    this.picture.src = this.#address;
    this.picture.alt = `The photo, ${photo.name}`;
    this.picture.style.setProperty("--aspect", aspectOf(photo));
    this.card.querySelector("[data-name]").textContent = photo.example ? "" : photo.name;
    for (const button of this.examples) {
      button.setAttribute("aria-pressed", String(button.dataset.file === photo.example));
    }
    this.fail("");
    this.changed();
  }

  /** Say what is wrong with the photo, or that nothing is. */
  fail(sentence) { say(this.error, sentence); }

  /** Take one of the examples. */
  async useExample(file) {
    if (!this.#known.has(file)) {
      const response = await fetch(FOLDER + file);
      const blob = await response.blob();
      this.#known.set(file, await readPhoto(blob, file, file));
    }
    this.#begin(this.#known.get(file));
  }

  /** Take a visitor's file, if it is a picture that the service takes. */
  async useFile(file) {
    try {
      this.#begin(await readPhoto(file, file.name || "photo", null));
    } catch (error) {
      this.fail(error.message);
    }
  }

  /** A photo in the model's shape keeps it; of another one people would come out broad or narrow. */
  #begin(photo) {
    this.shaped.checked = Math.abs(aspectOf(photo) / NATURAL_ASPECT - 1) < NEARLY;
    this.#show(photo);
  }

  #exampleButton({ file, label }) {
    const picture = element("img", { src: FOLDER + file, alt: "", width: 44, height: 64 });
    const button = element("button", { type: "button", className: "tile", title: label, "aria-label": label }, picture);
    button.dataset.file = file;
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.useExample(file));
    return button;
  }

  #listen() {
    this.card.querySelector("[data-choose]").addEventListener("click", () => this.input.click());
    this.input.addEventListener("change", () => {
      if (this.input.files[0]) this.useFile(this.input.files[0]);
      this.input.value = "";
    });
    for (const box of [this.framed, this.shaped]) box.addEventListener("change", this.changed);
    takeDrops(this.card, (file) => this.useFile(file));
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
      if (file) this.useFile(file);
    });
  }
}

/** Let files be dropped onto an element, which is marked as long as one hangs above it. */
export function takeDrops(target, use) {
  target.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    target.classList.add("dropping");
  });
  target.addEventListener("dragleave", (event) => {
    if (!target.contains(event.relatedTarget)) target.classList.remove("dropping");
  });
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("dropping");
    if (event.dataTransfer.files[0]) use(event.dataTransfer.files[0]);
  });
}

/** A file as a photo; an Error with a sentence if it is none. */
async function readPhoto(blob, name, example) {
  const wanted = "Choose a PNG, JPEG or WebP picture.";
  if (!TAKEN.includes(blob.type)) throw new Error(`“${name}” is not a picture that can be used. ${wanted}`);
  if (blob.size > MAX_MEGABYTES * 1e6) {
    throw new Error(`“${name}” has ${(blob.size / 1e6).toFixed(1)} MB; ${MAX_MEGABYTES} MB can be sent at most.`);
  }
  const address = URL.createObjectURL(blob);
  try {
    const picture = element("img", { src: address });
    await picture.decode();
    return { blob, name, width: picture.naturalWidth, height: picture.naturalHeight, example, ids: {} };
  } catch {
    throw new Error(`“${name}” is damaged, or no picture at all. ${wanted}`);
  } finally {
    URL.revokeObjectURL(address);
  }
}
