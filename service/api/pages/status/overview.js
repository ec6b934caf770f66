// The sentence at the top, and the figures below it.

import { SPACE, duration, figure, percent } from "./format.js";
import { headline } from "./headline.js";

/** @param {object} status answer of `GET /v1/status` */
export function showOverview(status) {
  const { level, text } = headline(status);
  showHeadline(level, text);
  for (const [name, [value, note]] of Object.entries(figuresOf(status))) {
    document.querySelector(`[data-figure="${name}"]`).textContent = value;
    document.querySelector(`[data-note="${name}"]`).textContent = note;
  }
}

/** @param {"good"|"busy"|"bad"|"unknown"} level read out when it changes; the words alone change too often for that */
export function showHeadline(level, text) {
  const place = document.getElementById("headline");
  place.querySelector("[data-text]").textContent = text;
  if (place.dataset.level !== level) document.getElementById("announcement").textContent = text;
  place.dataset.level = level;
}

function figuresOf({ queue, workers, slots, in_flight, batch_occupancy, pictures_per_minute, eta }) {
  const rows = workers.filter((worker) => worker.rows_per_step !== null);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const taken = figure(sum(rows.map((worker) => worker.rows_per_step)));
  const most = sum(rows.map((worker) => worker.max_batch));
  return {
    waiting: [queue.queued, queue.queued === 1 ? "job" : "jobs"],
    running: [queue.running, queue.running === 1 ? "job" : "jobs"],
    wait: queue.queued ? [duration(queue.oldest_wait_ms), "so far"] : ["–", "nothing waits"],
    workers: [workers.length, "alive"],
    slots: slots ? [percent(Math.min(1, in_flight / slots)), `${in_flight} of ${slots}`] : ["–", "no slots"],
    rows: batch_occupancy === null ? ["–", "no step lately"] : [percent(batch_occupancy), `${taken} of ${most}`],
    rate: [figure(pictures_per_minute), "a minute"],
    eta: eta ? [duration(eta.p50_ms), `90${SPACE}%: ${duration(eta.p90_ms)}`] : ["–", "no worker"],
  };
}
