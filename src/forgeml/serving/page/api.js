// Requests to the server that this page came from, and what went wrong with them in sentences.

const SHORTEST_WAIT_S = 0.25;
const LONGEST_WAIT_S = 30;

/** The server has answered, and not with what was asked for. */
export class Refused extends Error {
  constructor(status, body, requestId, retryAfter) {
    super(refusalSentence(status, body));
    this.status = status;
    this.requestId = body?.request_id ?? requestId;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may be answered a little later. */
  get isBusy() {
    return this.status === 429 || this.status === 503;
  }
}

/** No answer at all. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached. It may have been stopped, or the connection is lost.");
  }
}

function refusalSentence(status, body) {
  if (status === 401) return "This server wants a key. Reload the page and give the key when the browser asks for it.";
  if (typeof body?.message !== "string" || !body.message) return `The server has answered with status ${status}.`;
  const message = body.message[0].toUpperCase() + body.message.slice(1);
  return /[.!?]$/.test(message) ? message : `${message}.`;
}

/** The JSON of an address; `body` left out is a GET. Addresses are relative, so the page works behind a prefix. */
export async function request(path, { body, signal } = {}) {
  const sent = { signal, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    sent.method = "POST";
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  const { response, text } = await exchange(path, sent);
  const found = parsed(text);
  if (response.ok && found !== undefined) return found;
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  throw new Refused(response.status, found, response.headers.get("X-Request-ID"), retryAfter);
}

async function exchange(path, sent) {
  try {
    const response = await fetch(path, sent);
    return { response, text: await response.text() };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** As `request`, and while the server is too busy it is asked again when it says, up to `tries` times in all. */
export async function patientRequest(path, { body, signal, tries = 3, onWait = () => {} } = {}) {
  for (let left = tries - 1; ; left -= 1) {
    try {
      return await request(path, { body, signal });
    } catch (error) {
      if (!error.isBusy || left === 0) throw error;
      const seconds = Math.min(Math.max(error.retryAfter, SHORTEST_WAIT_S), LONGEST_WAIT_S);
      onWait(seconds);
      await pause(seconds, signal);
    }
  }
}

/** Wait; an abort ends it with the error that fetch has for that. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The texts of one `/predict/batch` as its body; `pairs` null for a model of single texts. */
export function batchBody(texts, pairs) {
  return pairs === null ? { texts } : { texts, text_pairs: pairs };
}

/** A text no longer than it takes for the server to see that it is too long and to say so. */
export function clipped(text, limits) {
  if (text.length <= limits.characters) return text;
  return Array.from(text.slice(0, 2 * limits.characters + 2))
    .slice(0, limits.characters + 1)
    .join("");
}

/** Places at which texts are cut into batches: `[start, end)` with at most so many texts and bytes. */
export function* batches(texts, pairs, limits) {
  const envelope = 64;
  let start = 0;
  let bytes = envelope;
  for (let place = 0; place < texts.length; place += 1) {
    const own = size(texts[place]) + (pairs === null ? 0 : size(pairs[place]));
    if (place > start && (place - start >= limits.texts || bytes + own > limits.body_bytes)) {
      yield [start, place];
      start = place;
      bytes = envelope;
    }
    bytes += own;
  }
  if (texts.length > start) yield [start, texts.length];
}

const encoder = new TextEncoder();
const size = (text) => encoder.encode(JSON.stringify(text)).length + 1;
