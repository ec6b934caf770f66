// Asks again and again while the page is seen, and less often where that does not go well.

import { Problem } from "../common/client.js";

const EVERY_MS = 2000;
const MAX_PAUSE_MS = 5000;

/**
 * Never returns. A hidden page asks nothing until it is seen again.
 * @param {() => Promise<object>} ask
 * @param {(answer: object) => void} onAnswer
 * @param {(problem: Problem) => Promise<void>|void} onProblem what it returns is waited for
 */
export async function poll(ask, onAnswer, onProblem) {
  let numFailures = 0;
  for (;;) {
    await seen();
    const answer = await ask().catch(problemOf);
    if (answer instanceof Problem) {
      await onProblem(answer);
      const growing = Math.min(MAX_PAUSE_MS, EVERY_MS * 2 ** numFailures);
      numFailures += 1;
      await pause(Math.max(EVERY_MS, 1000 * answer.retryAfterSeconds || growing));
    } else {
      onAnswer(answer);
      numFailures = 0;
      await pause(EVERY_MS);
    }
  }
}

/** An answer may break off, take too long, or be that of something else on the way. */
function problemOf(error) {
  return error instanceof Problem ? error : new Problem({ detail: "The server's answer could not be read" });
}

function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

function seen() {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}
