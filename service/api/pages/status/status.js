// The status page: asks how the deployment fares every two seconds, and shows it.

import { Client } from "../common/client.js";
import { askForKey } from "../common/key_dialog.js";
import { Chart } from "./charts.js";
import { counted, duration, percent, timeOfDay } from "./format.js";
import { History, PRIORITIES, seconds } from "./history.js";
import { showHeadline, showOverview } from "./overview.js";
import { poll } from "./poll.js";
import { showWorkers } from "./worker_table.js";

// A server that does not answer within this is one that can't be reached.
const PATIENCE_MS = 10000;
const LEAST_SPAN_SECONDS = 60;

const client = new Client(askForKey);
const history = new History();
// Of the newest answer: when it was given by the server's clock, and when it came by this computer's.
let known = null;
let minutes = 5;

const byId = (id) => document.getElementById(id);
const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
const charts = {
  queue: new Chart(byId("queue-chart"), { format: (value) => String(Math.round(value)), least: 4, steps: whole }),
  occupancy: new Chart(byId("occupancy-chart"), { format: percent, least: 1, most: 1, steps: [0.25, 0.5] }),
  latency: new Chart(byId("latency-chart"), { format: duration, least: 0, isSparse: true }),
  jobs: new Chart(byId("jobs-chart"), { format: duration, least: 0, isSparse: true }),
};

function show(status) {
  known = { at: seconds(status.as_of), came: performance.now() };
  history.add(status);
  showOverview(status);
  showWorkers(status.workers);
  byId("trouble").hidden = true;
  byId("fresh").classList.remove("stale");
  byId("headline").querySelector("[data-freshness]").textContent = `as of ${timeOfDay(known.at)}`;
  draw();
}

async function admit(problem) {
  if (known) history.addGap(known.at);
  const since = known ? ` Shown is what was known at ${timeOfDay(known.at)}; the page asks again by itself.` : "";
  byId("trouble").querySelector("[data-message]").textContent = problem.message + since;
  byId("trouble").hidden = false;
  byId("fresh").classList.add("stale");
  showHeadline("unknown", "How the server fares is not known now");
  draw();
  if (problem.status === 401 || problem.status === 403) await anotherKey();
}

/** The visitor gave no key, or one that may not see this: when to ask again is up to them. */
async function anotherKey() {
  const button = byId("enter-key");
  button.hidden = false;
  await new Promise((resolve) => { button.addEventListener("click", resolve, { once: true }); });
  button.hidden = true;
  client.useKey("");
}

function draw() {
  if (!known) return;
  const to = known.at + (performance.now() - known.came) / 1000;
  const [samples, endings] = [history.samples, history.endings].map((list) =>
    list.filter((each) => each.at >= to - 60 * minutes));
  // A page that has just been opened shows the little that it knows at a scale where it can be seen.
  const first = Math.min(...[samples, endings].map((list) => list[0]?.at ?? to), to - LEAST_SPAN_SECONDS);
  const span = { from: Math.max(first, to - 60 * minutes), to };
  const sampled = (...names) => ["at", ...names].map((name) => samples.map((each) => each[name]));
  const ended = (...names) => [
    endings.map((each) => each.at),
    ...PRIORITIES.flatMap((priority) =>
      names.map((name) => endings.map((each) => (each.priority === priority ? each[name] : null)))),
  ];
  charts.queue.draw(sampled("waiting", "running"), span, () => [
    inWords("Waiting", samples.map((each) => each.waiting), String),
    inWords("Under way", samples.map((each) => each.running), String),
  ].join(" "));
  charts.occupancy.draw(sampled("slots", "rows"), span, () => [
    inWords("Slots in use", samples.map((each) => each.slots), percent),
    inWords("Batch filled", samples.map((each) => each.rows), percent),
  ].join(" "));
  charts.latency.draw(ended("p50", "p95"), span, () => latencyInWords(endings));
  charts.jobs.draw(ended("ms"), span, () => latencyInWords(endings));
  for (const chart of ["latency-chart", "jobs-chart"]) showEmptiness(byId(chart).querySelector(".empty"), endings);
}

function inWords(name, values, format) {
  const seen = values.filter((value) => value !== null);
  if (!seen.length) return `${name}: not known in the last ${minutes} minutes.`;
  const [least, most] = [Math.min(...seen), Math.max(...seen)].map(format);
  return `${name}: ${format(seen.at(-1))} at the end, ${least} to ${most} in the last ${minutes} minutes.`;
}

function latencyInWords(endings) {
  const sentences = PRIORITIES.map((priority) => [priority, endings.filter((each) => each.priority === priority)])
    .filter(([, found]) => found.length)
    .map(([priority, found]) => {
      const { p50, p95 } = found.at(-1);
      const jobs = counted(found.length, `${priority} job`);
      const times = `half within ${duration(p50)}, 19 of 20 within ${duration(p95)}`;
      return `${jobs} ended in the last ${minutes} minutes; lately ${times}.`;
    });
  return sentences.join(" ") || `No job has ended in the last ${minutes} minutes.`;
}

function showEmptiness(place, endings) {
  place.hidden = endings.length > 0;
  if (history.endings.length) {
    place.textContent = `No job has ended in the last ${minutes} minutes.`;
  } else if (!place.querySelector("a")) {
    const link = document.createElement("a");
    link.href = "/playground";
    link.textContent = "make one in the playground";
    place.replaceChildren("No job has ended yet — ", link, ".");
  }
}

for (const button of document.querySelectorAll("[data-minutes]")) {
  button.addEventListener("click", () => {
    minutes = Number(button.dataset.minutes);
    for (const each of document.querySelectorAll("[data-minutes]")) {
      each.setAttribute("aria-pressed", String(each === button));
    }
    draw();
  });
}
document.addEventListener("theme", () => { for (const chart of Object.values(charts)) chart.recolour(); });
poll(() => client.json("/v1/status", { patienceMs: PATIENCE_MS, cache: "no-store" }), show, admit);
