// How the picture is made: preset, steps, guidance, solver, pictures and seed, within what the served model allows.

import { say } from "../common/elements.js";

const SOLVERS = { ddim: "DDIM", dpmpp_2m: "DPM-Solver++ (2M)" };
const PRESETS = { exact: "Exact", fast: "Fast", draft: "Draft" };
// The service takes more; beyond these nobody sees a difference, and a slider gets too coarse.
const MOST_STEPS = 250;
const MOST_GUIDANCE = 5;
// Short enough to read out; the service takes up to 2^53 - 1.
const SEED_RANGE = 1_000_000;

/** A solver's name for people. */
export const solverName = (sampler) => SOLVERS[sampler] ?? sampler;

/** A preset's name for people. */
export const presetName = (preset) => PRESETS[preset] ?? preset;

/** The form of the settings. */
export class Settings {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    this.form = form;
    this.error = form.querySelector("[data-error]");
    this.dice = form.querySelector("[data-dice]");
    this.lock = form.querySelector("[data-lock]");
    this.dice.addEventListener("click", () => { form.seed.value = draw(); });
    this.lock.addEventListener("click", () => this.#setLock(!this.isLocked));
    form.seed.addEventListener("input", () => this.#setLock(true));
    // A preset says what the others begin with; what is moved afterwards stays.
    form.preset.addEventListener("change", () => this.#follow());
    form.addEventListener("input", () => this.#tell());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.seed.value = draw();
    this.#tell();
  }

  /** The seed stays from picture to picture. */
  get isLocked() { return this.lock.getAttribute("aria-pressed") === "true"; }

  /** Take ranges and defaults from `GET /v1/models`. */
  limit(model) {
    const { steps, guidance } = this.form;
    Object.assign(steps, { min: model.steps.min, max: Math.min(model.steps.max, MOST_STEPS) });
    Object.assign(guidance, { min: model.guidance.min, max: Math.min(model.guidance.max, MOST_GUIDANCE) });
    this.form.seed.max = model.max_seed;
    steps.value = model.steps.default;
    guidance.value = model.guidance.default;
    this.numSteps = new Map(model.presets.map((preset) => [preset.name, preset.steps]));
    this.form.preset.replaceChildren(...model.presets.map((preset) => new Option(presetWords(preset), preset.name)));
    this.form.sampler.replaceChildren(...model.samplers.map((name) => new Option(solverName(name), name)));
    this.#tell();
  }

  /** What the form says, as fields of a request. */
  get value() {
    const { preset, steps, guidance, sampler, pictures, seed } = this.form;
    return {
      preset: preset.value,
      steps: Number(steps.value),
      guidance: Number(guidance.value),
      sampler: sampler.value,
      num_images: Number(pictures.value),
      seed: Number(seed.value),
    };
  }

  /** Show these. */
  show(value) {
    const { preset, steps, guidance, sampler, pictures, seed } = this.form;
    // Pictures of earlier visits had none, or one that the model of today has no graph for: then nothing is selected.
    preset.value = value.preset ?? "exact";
    if (!preset.value) preset.value = "exact";
    steps.value = value.steps;
    guidance.value = value.guidance;
    sampler.value = value.sampler;
    pictures.value = value.num_images;
    seed.value = value.seed;
    this.#tell();
  }

  /** Another seed, unless it is locked; false if a value can't be used, which the browser then says. */
  prepare() {
    if (!this.isLocked) this.form.seed.value = draw();
    return this.form.reportValidity();
  }

  /** Several pictures of a pose are for a pose alone. */
  allowSeveral(isAllowed) { this.form.pictures.disabled = !isAllowed; }

  /** Say what the service finds wrong with them, or that nothing is. */
  fail(sentence) { say(this.error, sentence); }

  #setLock(isLocked) {
    this.lock.setAttribute("aria-pressed", String(isLocked));
    this.lock.title = isLocked ? "The seed stays" : "A new seed for each picture";
  }

  #follow() {
    const { preset, steps } = this.form;
    steps.value = this.numSteps?.get(preset.value) ?? steps.value;
    this.#tell();
  }

  #tell() {
    const { steps, guidance } = this.form;
    this.form.querySelector("[data-steps]").textContent = steps.value;
    this.form.querySelector("[data-guidance]").textContent = Number(guidance.value).toFixed(1);
  }
}

function presetWords({ name, precision, steps }) {
  return `${presetName(name)} · ${precision} · ${steps} steps`;
}

function draw() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % SEED_RANGE;
}
