// Calls of this gateway's API: with the visitor's key where it wants one, errors as sentences, events by fetch.
// It draws nothing; `key_dialog.js` asks for the key.

import { tabStorage } from "./storage.js";

const RETRY_MS = 2000;
const KEY = "xmdpt-key";

/** Whether a header can carry this key: visible ASCII, without a gap. */
export const isUsableKey = (key) => /^[\x21-\x7e]+$/.test(key);

/** An answer of the API that says what is wrong (RFC 9457), or that there was none. */
export class Problem extends Error {
  /** @param {object} body with title, detail, code, status and perhaps errors and job_id */
  constructor(body) {
    super(sentence(body));
    this.name = "Problem";
    this.code = body.code ?? "unreachable";
    this.status = body.status ?? 0;
    this.retryAfterSeconds = body.retryAfterSeconds ?? null;
    this.errors = body.errors ?? [];
  }
}

/** What a problem's body says, as a sentence for a person. */
function sentence({ title, detail, errors }) {
  // A detail of the field at fault says what that must be; the title says what it is about.
  const isOfField = title && /^(must|may|is|has|have|goes|lies|can't)\b/.test(detail ?? "");
  const text = isOfField ? `${title}: ${detail}` : detail || title || "Something went wrong";
  // The detail of a single field at fault begins with a pointer; where there are more, the others follow.
  const others = (errors ?? []).slice(1).map((each) => `${each.pointer} ${each.detail}`);
  const all = [text, ...others].join("; ").trim();
  return all.charAt(0).toUpperCase() + all.slice(1) + (/[.!?]$/.test(all) ? "" : ".");
}

/** One visitor's way to the API. */
export class Client {
  /** @param {() => Promise<string|null>} askForKey called where the API wants a key; null: the visitor gave up */
  constructor(askForKey) {
    this.askForKey = askForKey;
    const kept = tabStorage.getItem(KEY) ?? "";
    this.key = isUsableKey(kept) ? kept : "";
  }

  /** Keep the key as long as the tab is open; an empty one forgets it. */
  useKey(key) {
    this.key = key;
    if (key) tabStorage.setItem(KEY, key);
    else tabStorage.removeItem(KEY);
  }

  /**
   * One call, repeated once the visitor has given a key if one was missing.
   * @param {string} path of this gateway
   * @param {RequestInit & {patienceMs?: number}} options as of fetch; or, instead of a signal, how long the server may
   *   take for its answer, without the time that the visitor takes for a key
   * @returns {Promise<Response>} of a call that went well
   * @throws {Problem} of any other
   * @throws {DOMException} AbortError
   */
  async fetch(path, options = {}) {
    for (;;) {
      const response = await this.#send(path, options);
      if (response.ok) return response;
      const problem = await problemOf(response);
      if (response.status !== 401) throw problem;
      const given = await this.#keyAfterRefusal();
      if (given === null) throw problem;
      this.useKey(given);
    }
  }

  /** As `fetch`, of JSON: `body` is sent as it, and the answer read. */
  async json(path, { body, headers, ...options } = {}) {
    const sent = body === undefined ? {} : { body: JSON.stringify(body), method: "POST" };
    const type = body === undefined ? {} : { "Content-Type": "application/json" };
    const response = await this.fetch(path, {
      ...sent,
      ...options,
      headers: { Accept: "application/json", ...type, ...headers },
    });
    return response.status === 204 ? null : response.json();
  }

  /**
   * What happens to a job, as it happens; a broken connection is made again where it broke off.
   * @param {string} path `urls.events` of a job
   * @param {AbortSignal} signal ends it
   * @yields {{event: string, data: object}} the last one is `end`
   */
  async *events(path, signal) {
    let lastId = null;
    for (;;) {
      let wait = RETRY_MS;
      try {
        const headers = { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) };
        const response = await this.fetch(path, { headers, signal, cache: "no-store" });
        if (response.status === 204) return;
        for await (const event of readEvents(response.body)) {
          lastId = event.id ?? lastId;
          yield { event: event.event, data: JSON.parse(event.data) };
          if (event.event === "end") return;
        }
      } catch (error) {
        wait = patience(error);
      }
      await pause(wait, signal);
    }
  }

  /**
   * The results of a batch as they come; a broken connection is made again behind the last line.
   * @param {string} path `urls.results` of a batch
   * @param {number} after number of the line behind which to begin, 0 for all
   * @param {AbortSignal} signal ends it
   * @yields {object} with its number `n`; a server that is about to stop may end them early
   */
  async *lines(path, after, signal) {
    let last = after;
    for (;;) {
      let wait = RETRY_MS;
      try {
        const headers = { Accept: "application/x-ndjson" };
        const response = await this.fetch(`${path}?after=${last}`, { headers, signal, cache: "no-store" });
        for await (const line of readParts(response.body, "\n")) {
          if (!line) continue;
          const read = JSON.parse(line);
          last = read.n;
          yield read;
        }
        return;
      } catch (error) {
        wait = patience(error);
      }
      await pause(wait, signal);
    }
  }

  async #send(path, { patienceMs, ...options }) {
    const signal = patienceMs ? AbortSignal.timeout(patienceMs) : options.signal;
    const headers = new Headers(options.headers);
    if (this.key) headers.set("Authorization", `Bearer ${this.key}`);
    try {
      return await fetch(path, { ...options, headers, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ detail: "The server can't be reached; check the connection and try again" });
    }
  }

  /** Several calls may be refused at once: the visitor is asked one time. */
  #keyAfterRefusal() {
    this.asking ??= this.askForKey(Boolean(this.key)).finally(() => { this.asking = null; });
    return this.asking;
  }
}

async function problemOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After"));
  try {
    return new Problem({ ...(await response.json()), status: response.status, retryAfterSeconds: retryAfter || null });
  } catch {
    return new Problem({ detail: `The server answered with status ${response.status}`, status: response.status });
  }
}

/** How long to wait where a connection broke or the server wants a pause, ms; any other error is thrown. */
function patience(error) {
  const isPassing =
    error instanceof TypeError ||
    (error instanceof Problem && (error.status === 0 || error.status === 429 || error.status >= 500));
  if (!isPassing) throw error;
  return Math.max(RETRY_MS, (error.retryAfterSeconds ?? 0) * 1000);
}

/** The events of a stream by the rules of WHATWG's server-sent events, as far as this API uses them. */
async function* readEvents(stream) {
  for await (const part of readParts(stream, "\n\n")) {
    const event = {};
    for (const line of part.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
    }
    if (event.event) yield event;
  }
}

/** The text of a stream, cut where a mark stands; what has no mark behind it is not told. */
async function* readParts(stream, mark) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split(mark);
      rest = parts.pop();
      yield* parts;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal?.removeEventListener("abort", abort); resolve(); }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
