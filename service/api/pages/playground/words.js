// Figures of the API as sentences for people.

import { presetName, solverName } from "./settings.js";

// A figure and its unit stay on one line.
const GAP = "\u00a0";
const STAGES = {
  decode_input: "Reading photo and pose",
  source_encoder: "Looking at the photo",
  pose_encoder: "Looking at the pose",
  canet: "Bringing both together",
  vae_decoder: "Painting the picture",
  vae_decoder_low: "Painting the picture",
  encode_output: "Writing the file",
};

/** A time to wait, as exact as it matters. */
function seconds(milliseconds) {
  if (milliseconds < 1000) return "less than a second";
  if (milliseconds < 120_000) return `${Math.round(milliseconds / 1000)}${GAP}s`;
  return `${Math.round(milliseconds / 60_000)}${GAP}min`;
}

/** A forecast: half of all such jobs end by p50, nine of ten by p90. */
export function forecast(eta) {
  if (!eta) return "";
  const [likely, latest] = [seconds(eta.p50_ms), seconds(eta.p90_ms)];
  if (likely === latest) return `${likely} left`;
  return `${eta.p50_ms < 1000 ? "" : "about "}${likely} left, rarely more than ${latest}`;
}

/** Where a job is that has just changed its state. */
export function stateWords({ status, queue, eta }) {
  if (status === "running") return joined("Begun", forecast(eta));
  if (status === "cancelling") return "Ending";
  if (status !== "queued") return "";
  const ahead = queue.position;
  const place = ahead === 0 ? "Next in the queue" : `${ahead} ${ahead === 1 ? "job" : "jobs"} ahead in the queue`;
  return joined(place, forecast(eta));
}

/** How far a job is. */
export function progressWords({ stage, step, steps, eta }) {
  return joined(STAGES[stage] ?? `Step ${step} of ${steps}`, forecast(eta));
}

/** How far a batch is. */
export function countWords({ total, succeeded, failed, cancelled }, eta) {
  return joined(`${succeeded + failed + cancelled} of ${total} pictures`, forecast(eta));
}

/** How a picture was made. */
export function settingsWords({ preset, steps, guidance, sampler }, seed) {
  const first = preset && preset !== "exact" ? `${presetName(preset)} · ` : "";
  return `${first}${steps} steps · ${solverName(sampler)} · guidance ${guidance} · seed ${seed}`;
}

/** What a finished job took, and what the service knew already. */
export function timingWords({ cache, timings_ms: timings }) {
  if (!timings?.total) return "";
  const part = (name, what) =>
    cache?.[what] === "hit" ? `${name} known` : `${name} read in ${milliseconds(timings[`${what}_encoder`])}`;
  return `${milliseconds(timings.total)} in all · ${part("photo", "source")} · ${part("pose", "pose")}`;
}

/** What went wrong, and when to try again if the service said so. */
export function faultWords(problem) {
  const when = problem.retryAfterSeconds;
  return when ? `${problem.message} Try again in ${when} s.` : problem.message;
}

/** What "Forget all" could not erase, and why. */
export function remainsWords(numTakes, numUploads, problem) {
  const parts = [counted(numTakes, "entry", "entries"), counted(numUploads, "uploaded file", "uploaded files")];
  return `Not forgotten: ${parts.filter(Boolean).join(" and ")}. ${faultWords(problem)}`;
}

function counted(number, one, several) {
  return number ? `${number} ${number === 1 ? one : several}` : "";
}

function milliseconds(value) {
  return value < 995 ? `${Math.max(1, Math.round(value ?? 0))}${GAP}ms` : `${(value / 1000).toFixed(1)}${GAP}s`;
}

function joined(...parts) {
  return parts.filter(Boolean).join(" · ");
}
