// Shows a take: its progress and previews, then its pictures, in the shape in which people look right.

import { element, say } from "../common/elements.js";
import { Player } from "./player.js";
import { thumbnail } from "./pose_drawing.js";
import { settingsWords, timingWords } from "./words.js";

const PARTS = [
  "empty", "one", "frame", "grid", "shots", "bar", "progress", "caption", "timing", "error", "live", "play", "save",
];

/** The card of the picture. */
export class ResultView {
  #addresses = [];
  #take = null;
  #chosen = 0;
  #player = new Player();

  /** @param {HTMLElement} card with `data-frame`, `data-grid`, `data-bar` and so on */
  constructor(card) {
    this.card = card;
    for (const name of PARTS) this[name] = card.querySelector(`[data-${name}]`);
    this.save.addEventListener("click", () => this.#saveChosen());
    this.play.addEventListener("click", () => this.#playOrStop());
  }

  /** The frame's shape, also while there is nothing in it. */
  shape(aspect) {
    if (!this.#take) this.card.style.setProperty("--aspect", aspect);
  }

  /** Show a take as it stands. */
  show(take) {
    if (this.#take !== take) this.#chosen = 0;
    this.#take = take;
    this.#player.stop();
    this.#forgetAddresses();
    this.card.dataset.status = take.status;
    this.card.style.setProperty("--aspect", take.aspect);
    const isOne = take.mode === "one";
    this.one.hidden = !isOne;
    this.grid.hidden = isOne;
    this.progress.hidden = take.status !== "running";
    this.save.hidden = !take.shots.some(Boolean);
    this.play.hidden = take.mode !== "morph" || take.status === "running" || take.shots.filter(Boolean).length < 2;
    this.#namePlay();
    this.save.title = isOne ? "Download" : "Download as one picture";
    this.save.setAttribute("aria-label", this.save.title);
    this.error.textContent = take.sentence ?? "";
    if (isOne) this.#showOne(take);
    else this.#showMany(take);
    this.#describe(take);
  }

  /** Nothing is shown any more. */
  clear() {
    this.#take = null;
    this.#player.stop();
    this.#forgetAddresses();
    this.card.dataset.status = "none";
    this.one.hidden = false;
    this.save.hidden = this.play.hidden = this.grid.hidden = this.progress.hidden = true;
    this.frame.hidden = true;
    this.empty.hidden = false;
    this.shots.replaceChildren();
    for (const text of [this.error, this.caption, this.timing]) text.textContent = "";
  }

  /** How far it is; announced only now and then. */
  tell(words, ratio) {
    this.bar.style.setProperty("--ratio", ratio);
    this.bar.setAttribute("aria-valuenow", Math.round(ratio * 100));
    this.bar.setAttribute("aria-valuetext", words);
    this.caption.textContent = words;
  }

  /** Say something to who can't see the page. */
  announce(words) { this.live.textContent = words; }

  /** What the picture is going to be. */
  preview(blob) {
    this.#put(this.frame, blob, "The picture in the making");
    this.frame.classList.add("unfinished");
  }

  /** Say what went wrong beside the picture that there is. */
  fail(sentence) { say(this.error, sentence); }

  #shotOf(take) { return take.shots[this.#chosen] ?? take.shots.find(Boolean); }

  #showOne(take) {
    const shot = this.#shotOf(take);
    this.frame.classList.remove("unfinished");
    this.frame.hidden = !shot;
    this.empty.hidden = Boolean(shot);
    if (shot) this.#put(this.frame, shot.blob, `Generated picture, seed ${shot.seed}`);
    const several = take.shots.filter(Boolean).length > 1 ? take.shots : [];
    this.shots.style.setProperty("--count", several.length);
    this.shots.replaceChildren(...several.map((each, index) => this.#shotButton(each, index)));
  }

  #shotButton(shot, index) {
    const picture = element("img", { alt: "" });
    this.#put(picture, shot.blob, "");
    const button = element("button", { type: "button", className: "tile", "aria-label": `Seed ${shot.seed}` }, picture);
    button.setAttribute("aria-pressed", String(index === this.#chosen));
    button.addEventListener("click", () => {
      this.#chosen = index;
      this.show(this.#take);
      this.shots.children[index].focus();
    });
    return button;
  }

  #showMany(take) {
    this.grid.replaceChildren(
      ...take.poses.map((pose, index) => {
        const shot = take.shots[index];
        const content = shot ? this.#cellLink(take, shot, pose) : element("span", { className: "waiting" });
        return element("li", {}, content, thumbnail(pose, take.aspect));
      }),
    );
    this.grid.classList.toggle("strip", take.mode === "morph");
    this.grid.style.setProperty("--columns", Math.min(4, Math.ceil(Math.sqrt(take.poses.length))));
  }

  #cellLink(take, shot, pose) {
    const picture = element("img", { alt: `Generated picture, ${pose.name ?? "pose"}` });
    this.#put(picture, shot.blob, picture.alt);
    const name = fileName(take, shot, pose);
    return element("a", { href: picture.src, download: name, title: `Download ${name}` }, picture);
  }

  #playOrStop() {
    if (this.#player.isPlaying) return this.show(this.#take);
    const addresses = [...this.grid.querySelectorAll("a img")].map((picture) => picture.src);
    this.shots.replaceChildren();
    this.frame.alt = "The movement, played there and back again";
    this.frame.classList.remove("unfinished");
    this.frame.hidden = this.one.hidden = false;
    this.empty.hidden = this.grid.hidden = true;
    this.#player.play(this.frame, addresses);
    this.#namePlay();
  }

  #namePlay() {
    this.play.setAttribute("aria-pressed", String(this.#player.isPlaying));
  }

  #describe(take) {
    const shot = this.#shotOf(take);
    this.timing.textContent = take.job && shot ? timingWords(take.job) : "";
    if (take.status === "running") return;
    this.caption.textContent = shot
      ? settingsWords(take.settings, shot.seed)
      : take.status === "cancelled" ? "Cancelled." : "";
  }

  async #saveChosen() {
    const take = this.#take;
    const shot = this.#shotOf(take);
    const isOne = take.mode === "one";
    const blob = isOne ? shot.blob : await sideBySide(take);
    const name = isOne ? fileName(take, shot, take.poses[0]) : fileName(take, shot, { name: take.mode });
    const address = URL.createObjectURL(blob);
    element("a", { href: address, download: name }).click();
    // The browser has begun to read it by then.
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  #put(picture, blob, alt) {
    const address = URL.createObjectURL(blob);
    this.#addresses.push(address);
    picture.src = address;
    picture.alt = alt;
    picture.hidden = false;
    if (picture === this.frame) this.empty.hidden = true;
  }

  #forgetAddresses() {
    for (const address of this.#addresses) URL.revokeObjectURL(address);
    this.#addresses = [];
  }
}

/** Such as `person-walking-seed-7.png`. */
export function fileName(take, shot, pose) {
  const plain = (text) => text.toLowerCase().replace(/\.[a-z]+$/, "").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `${plain(take.photo.name) || "photo"}-${plain(pose.name ?? "") || "pose"}-seed-${shot.seed}.png`;
}

/** All pictures of a take in a row, in the shape in which they are shown. */
async function sideBySide(take) {
  const pictures = await Promise.all(take.shots.filter(Boolean).map((shot) => createImageBitmap(shot.blob)));
  const height = pictures[0].height;
  const width = Math.round(height * take.aspect);
  const canvas = element("canvas", { width: width * pictures.length, height });
  const context = canvas.getContext("2d");
  pictures.forEach((picture, index) => context.drawImage(picture, index * width, 0, width, height));
  return new Promise((resolve) => canvas.toBlob(resolve));
}
