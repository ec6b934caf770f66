// How the deployment fares, in a sentence, and whether that is good.

import { counted, duration } from "./format.js";

// Jobs that wait this long beside workers that do nothing are not about to begin.
const STUCK_MS = 15000;

/**
 * @param {object} status answer of `GET /v1/status`
 * @returns {{level: "good"|"busy"|"bad", text: string}}
 */
export function headline({ queue, workers, eta }) {
  const wait = queue.queued === 1 ? "waits" : "wait";
  const waiting = counted(queue.queued, "job");
  if (!workers.length) {
    const whoWaits = queue.queued ? `${waiting} ${wait}` : "jobs wait";
    return { level: "bad", text: `No worker is alive: ${whoWaits} until one comes` };
  }
  if (queue.queued && !queue.running && queue.oldest_wait_ms > STUCK_MS) {
    return { level: "bad", text: `${waiting} ${wait}, and no worker takes any` };
  }
  if (queue.queued) {
    const next = eta ? `; a picture asked for now takes about ${duration(eta.p50_ms)}` : "";
    return { level: "busy", text: `${waiting} ${wait}${next}` };
  }
  const who = counted(workers.length, "worker");
  const does = queue.running ? `, ${counted(queue.running, "job")} under way` : "";
  return { level: "good", text: `All well: ${who}${does}, nothing waits` };
}
