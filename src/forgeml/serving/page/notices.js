// What went wrong, in one place on the page that is read out at once.

import { byId, make, makeButton } from "./dom.js";

const WORTH_ANOTHER_TRY = new Set([undefined, 408, 429, 502, 503, 504]);

/** Show an error, with a button that tries the same again where that can help. */
export function showError(error, onRetry = null) {
  if (error.name === "AbortError") return;
  const place = byId("alert");
  const close = makeButton("Close", hideError);
  const offered = onRetry && WORTH_ANOTHER_TRY.has(error.status);
  const retry = offered ? makeButton("Try again", () => (hideError(), onRetry()), "primary") : null;
  const id = error.requestId ? make("p", { class: "hint" }, "Request ", make("code", {}, error.requestId)) : null;
  const buttons = make("div", { class: "actions" }, retry, close);
  place.replaceChildren(make("div", {}, make("p", {}, error.message), id), buttons);
  place.hidden = false;
}

export function hideError() {
  const place = byId("alert");
  place.replaceChildren();
  place.hidden = true;
}

/** Read out for those who do not see the page change. */
export function say(text) {
  byId("spoken").textContent = text;
}
