// What the page has seen of the deployment, in this tab's memory: a sample a poll, and every job that ended well.

const KEPT_SECONDS = 3600;
// Far more than a hand of people makes in an hour; a deployment that is faster loses the oldest.
const MAX_ENDINGS = 10000;
// p50 and p95 at a job's end are those of so many jobs of its class, itself the last.
const NUM_IN_QUANTILES = 50;
// Without a sample for so long, nothing is known of the time between.
const GAP_SECONDS = 15;

/** In the order in which `GET /v1/status` has them. */
export const PRIORITIES = ["interactive", "batch"];

export class History {
  /** {at, waiting, running, slots, rows}: seconds since 1970, jobs, and ratios of 0 to 1; null: not known. */
  samples = [];
  /** {at, priority, ms, p50, p95} of each job that ended well, oldest first. */
  endings = [];

  /** @param {object} status answer of `GET /v1/status` */
  add(status) {
    const at = seconds(status.as_of);
    const last = this.samples.at(-1);
    if (last && at - last.at > GAP_SECONDS) this.addGap(last.at);
    this.samples.push({
      at,
      waiting: status.queue.queued,
      running: status.queue.running,
      slots: status.slots ? Math.min(1, status.in_flight / status.slots) : null,
      rows: status.batch_occupancy,
    });
    for (const priority of PRIORITIES) {
      if (status.latencies[priority]) this.#addEndings(priority, status.latencies[priority]);
    }
    this.endings.sort((one, other) => one.at - other.at);
    const from = at - KEPT_SECONDS;
    this.samples = this.samples.filter((sample) => sample.at >= from);
    this.endings = this.endings.filter((ending) => ending.at >= from).slice(-MAX_ENDINGS);
  }

  /** Nothing is known from then on until the next sample: lines end there. */
  addGap(at) {
    this.samples.push({ at: at + 0.001, waiting: null, running: null, slots: null, rows: null });
  }

  #addEndings(priority, { recent_ms: times, recent_ended_at: ends }) {
    const known = this.endings.filter((ending) => ending.priority === priority);
    const last = known.at(-1);
    let first = 0;
    if (last) {
      // What was the newest one is found again, or so many have ended that it no longer is among the recent.
      const at = ends.findLastIndex((end, index) => seconds(end) === last.at && times[index] === last.ms);
      first = at + 1;
    }
    for (let index = first; index < ends.length; index += 1) {
      known.push({ at: seconds(ends[index]), priority, ms: times[index] });
      const counted = known.slice(-NUM_IN_QUANTILES).map((ending) => ending.ms).sort((one, other) => one - other);
      const ending = { ...known.at(-1), p50: quantile(counted, 0.5), p95: quantile(counted, 0.95) };
      this.endings.push(ending);
    }
  }
}

/** @returns {number} since 1970 */
export function seconds(moment) {
  return Date.parse(moment) / 1000;
}

/** By the line between the two nearest; `sorted` has at least one number. */
function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}
