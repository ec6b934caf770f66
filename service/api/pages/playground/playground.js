// The page: what its parts tell each other, and what happens when the button is pressed.

import { Client, Problem } from "../common/client.js";
import { askForKey, offerKeys } from "../common/key_dialog.js";
import { browserStorage } from "../common/storage.js";
import { offerCode } from "./code_dialog.js";
import { cancel, follow, forget, forgetUpload, posesBetween, submit } from "./generation.js";
import { HistoryView } from "./history.js";
import { EXAMPLES, PhotoPicker } from "./photo.js";
import { pointsOf } from "./pose.js";
import { PoseChoice } from "./pose_choice.js";
import { PosePanel } from "./pose_panel.js";
import { ResultView } from "./result.js";
import { Settings } from "./settings.js";
import { uploads } from "./uploads.js";
import { VisitStore, newId } from "./visit_store.js";
import { countWords, faultWords, progressWords, remainsWords, stateWords } from "./words.js";

const part = (id) => document.getElementById(id);
const go = part("go");
const stop = part("stop");

const client = new Client(askForKey);
const settings = new Settings(part("settings"));
const result = new ResultView(part("picture"));
const store = new VisitStore();
const history = new HistoryView(part("history"), bringBack);
const panel = new PosePanel(part("pose"), client, {
  changed: () => choice.edited(panel.pose),
  preset: (pose) => {
    choice.preset(pose);
    panel.use(pose);
  },
});
const choice = new PoseChoice(part("pose"), {
  pose: () => panel.pose,
  edit: (pose) => panel.use(pose),
  changed: () => {
    panel.mark((preset) => choice.has(preset));
    settings.allowSeveral(choice.mode === "one");
    describeButton();
  },
});
const photo = new PhotoPicker(part("photo"), () => {
  panel.shape(photo.aspect);
  choice.shape(photo.aspect);
  result.shape(photo.aspect);
});

/** The take whose pictures are on screen. */
let shown = null;
/** The take that is being made. */
let running = null;
/** Addresses of uploads that are to be forgotten once the running take needs them no more. */
let owed = [];
/** Between the button and the service's answer. */
let isSending = false;

go.addEventListener("click", generate);
stop.addEventListener("click", async () => {
  try {
    if (running) await cancel(client, running);
  } catch (problem) {
    result.fail(faultWords(problem));
  }
});
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && !document.querySelector("dialog[open]")) generate();
});
part("settings").addEventListener("input", describeButton);
part("forget").addEventListener("click", forgetAll);
offerKeys(part("key-button"), client, load);
offerCode(part("code-dialog"), part("code"), () =>
  panel.pose && photo.photo && { order: order(), hasKey: Boolean(client.key) },
);
start();

async function start() {
  await photo.useExample(EXAMPLES[0].file);
  await load();
  const takes = await store.load();
  takes.forEach((take) => history.put(take));
  const last = takes.pop();
  if (last) await bringBack(last);
  for (const take of takes) if (take.status === "running" && !running) await watch(take);
}

/** What the page must know of the service; again when the key has changed. */
async function load() {
  try {
    const [models, presets] = [await client.json("/v1/models"), await client.json("/v1/poses/presets")];
    settings.limit(models.data[0]);
    panel.offer(presets.data);
    showNotice(models.data[0]);
  } catch (problem) {
    panel.fail(faultWords(problem));
  }
}

/** What is asked for of one picture. */
function order() {
  return {
    photo: photo.photo, isFramed: photo.framed.checked, fit: photo.fit, pose: panel.pose, settings: settings.value,
  };
}

async function generate() {
  if (running || isSending) return;
  for (const each of [photo, panel, settings, result]) each.fail("");
  if (!panel.pose) return panel.fail("There is no pose yet.");
  if (!choice.poses.length) return panel.fail("Choose at least one pose.");
  if (!settings.prepare()) return;
  isSending = true;
  describeButton();
  try {
    const { pose, ...asked } = order();
    const { mode } = choice;
    const poses = mode === "morph" ? await wayBetween() : choice.poses;
    const take = { id: newId(), at: Date.now(), mode, aspect: photo.aspect, poses, ...asked, shots: [] };
    const { request_counts: counts, eta } = await submit(client, take);
    isSending = false;
    store.keep(take);
    history.put(take);
    show(take);
    if (counts) say(countWords(counts, eta), 0, true);
    part("picture").scrollIntoView({ block: "nearest", behavior: "smooth" });
    await watch(take);
  } catch (problem) {
    placeFault(problem);
  } finally {
    isSending = false;
    describeButton();
  }
}

async function wayBetween() {
  const [from, to] = choice.way;
  const found = await posesBetween(client, from, to, choice.numPictures);
  return found.map((each, index) => ({ name: `step ${index + 1}`, points: pointsOf(each) }));
}

/** Follow a take to its end. */
async function watch(take) {
  running = take;
  delete take.sentence;
  describeButton();
  try {
    for await (const event of follow(client, take)) hear(take, event);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const isGone = problem.status === 404;
    if (isGone) take.status = "failed";
    take.sentence = isGone
      ? "The service does not know it any more."
      : `${faultWords(problem)} What was begun goes on: click it below to follow it again.`;
  } finally {
    if (take.status !== "running") await forgetOwed(take);
    running = null;
    describeButton();
  }
  store.keep(take);
  history.put(take);
  if (shown === take) show(take);
  else history.mark(shown);
}

function hear(take, event) {
  if (event.kind === "shot") take.shots[event.shot.index] = event.shot;
  if (event.kind === "end") {
    const { status, job } = event;
    Object.assign(take, { status, job, sentence: event.problem && new Problem(event.problem).message });
  }
  if (shown !== take) return;
  if (event.kind === "progress") say(progressWords(event), event.ratio);
  else if (event.kind === "state" && stateWords(event.job)) say(stateWords(event.job), event.job.progress.ratio, true);
  else if (event.kind === "counted") say(countWords(event.counts, event.eta), numShots(take) / take.poses.length);
  else if (event.kind === "preview") result.preview(event.blob);
  else if (event.kind === "shot" && take.mode !== "one") result.show(take);
  else if (event.kind === "end") result.announce(endWords(take));
}

let announcedQuarter = 0;

/** To all at once; to who listens only at each quarter, or where it matters. */
function say(words, ratio, matters = false) {
  result.tell(words, ratio);
  const quarter = Math.floor(ratio * 4);
  if (matters || quarter !== announcedQuarter) result.announce(words);
  announcedQuarter = quarter;
}

const numShots = (take) => take.shots.filter(Boolean).length;

function endWords(take) {
  const count = numShots(take);
  if (take.status === "succeeded") return count === 1 ? "The picture is there." : `${count} pictures are there.`;
  return take.status === "cancelled" ? "Cancelled." : "";
}

function show(take) {
  shown = take;
  result.show(take);
  if (take.status === "running") result.tell("Sent", 0);
  history.mark(take);
}

/** Everything as it was when the take was made. */
async function bringBack(take) {
  photo.bringBack(take);
  choice.show(take.mode, take.poses);
  panel.use(take.poses[0]);
  settings.show(take.settings);
  show(take);
  if (take.status === "running" && !running) await watch(take);
}

/** All takes of this browser but the running one, and all uploads but those that it needs. */
async function forgetAll() {
  result.fail("");
  const takes = [...history.takes, ...(await store.others())].filter((take) => take !== running);
  const needed = running ? [running.source, ...running.poses.map(({ id }) => id)] : [];
  const isNeeded = (address) => needed.includes(address.split("/").at(-1));
  owed = uploads().filter(isNeeded);
  const free = uploads().filter((address) => !isNeeded(address));
  const ofTakes = await Promise.allSettled(takes.map(forgetTake));
  const ofUploads = await Promise.allSettled(free.map((address) => forgetUpload(client, address)));
  const [numTakes, numUploads] = [ofTakes, ofUploads].map((each) => each.filter(isFailed).length);
  if (numTakes || numUploads) {
    const { reason } = [...ofTakes, ...ofUploads].find(isFailed);
    result.fail(remainsWords(numTakes, numUploads, reason));
  } else if (running) result.announce("All but what is being made is forgotten, here and at the service.");
  else result.announce("All forgotten, here and at the service.");
}

const isFailed = ({ status }) => status === "rejected";

/** First at the service: what remains there can be tried again from here. */
async function forgetTake(take) {
  await forget(client, take);
  take.photo.ids = {};
  await store.remove(take.id);
  if (history.takes.every((each) => each === take)) leave(part("history"));
  history.remove(take.id);
  if (shown !== take) return;
  shown = null;
  result.clear();
}

/** What remains is tried again by the next "Forget all". */
async function forgetOwed(take) {
  if (!owed.length) return;
  take.photo.ids = {};
  await Promise.allSettled(owed.map((address) => forgetUpload(client, address)));
  owed = [];
}

/** Before a part is hidden or emptied: the keyboard goes on at the button that makes pictures. */
function leave(place) {
  if (place.contains(document.activeElement)) go.focus();
}

/** Beside what caused it. */
function placeFault(problem) {
  const pointer = problem.errors?.[0]?.pointer ?? "";
  const place = [
    [problem.isOfPhoto || /^\/(matrix\/)?source/.test(pointer), photo],
    [/^\/(matrix\/)?(pose|from|to)/.test(pointer) || /pose/.test(problem.code), panel],
    [/^\/(defaults\/)?(preset|steps|guidance|seed|sampler|num_images)/.test(pointer), settings],
  ].find(([isIt]) => isIt)?.[1] ?? result;
  const isProblem = problem instanceof Problem;
  place.fail(isProblem ? faultWords(problem) : "Something went wrong in this page. Reload it and try again.");
  if (!isProblem) throw problem;
}

function describeButton() {
  const count = choice.mode === "one" ? settings.value.num_images : choice.numPictures;
  const isBusy = Boolean(running) || isSending;
  go.setAttribute("aria-disabled", String(isBusy));
  go.querySelector("[data-label]").textContent = isSending
    ? "Sending…"
    : running ? "Generating…" : count > 1 ? `Generate ${count} pictures` : "Generate";
  if (!running) leave(stop);
  stop.hidden = !running;
  part("forget").disabled = isSending;
}

function showNotice(model) {
  const notice = part("notice");
  const said = browserStorage.getItem("xmdpt-notice");
  const about = !model.is_trained
    ? "This server runs placeholder weights: its pictures are noise. "
    : model.name === "demo"
      ? "The small demo model was trained on rendered persons and knows nothing of real photos. "
      : "";
  notice.querySelector("[data-about]").textContent = about;
  part("model").textContent = `Model ${model.name} · ${model.weights_origin} · ${model.digest.slice(0, 19)}…`;
  notice.hidden = said === model.digest;
  notice.querySelector("button").onclick = () => {
    browserStorage.setItem("xmdpt-notice", model.digest);
    notice.hidden = true;
  };
}
