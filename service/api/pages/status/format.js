// Numbers, lengths of time and times of day as people read them.

/** Keeps a number and its unit on one line. */
export const SPACE = "\u00a0";

/** @param {number} number of 0 or more; fewer digits the larger it is */
export function figure(number) {
  return number.toFixed(number < 10 && !Number.isInteger(number) ? 1 : 0);
}

/** @returns {string} such as "1 job", "3 jobs" */
export function counted(number, one, many = `${one}s`) {
  return `${number}${SPACE}${number === 1 ? one : many}`;
}

/** @param {number} ratio 0 to 1 */
export function percent(ratio) {
  return `${Math.round(100 * ratio)}${SPACE}%`;
}

/** @param {number} ms 0 or more */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)}${SPACE}ms`;
  const seconds = ms / 1000;
  if (seconds < 99.5) return `${figure(Math.round(10 * seconds) / 10)}${SPACE}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes}${SPACE}min`;
  return `${figure(minutes / 60)}${SPACE}h`;
}

/** @param {number} seconds since 1970; local time of day */
export function timeOfDay(seconds, hasSeconds = true) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(hasSeconds ? { second: "2-digit" } : {}) };
  return new Date(1000 * seconds).toLocaleTimeString("en-GB", parts);
}
