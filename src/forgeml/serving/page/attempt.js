// A form that sends one operation's request and shows the response as it is.

import { make, makeCode } from "./dom.js";
import { milliseconds } from "./numbers.js";

const JSON_TYPE = "application/json";

/** A form that sends the request: GET as it is, POST with JSON. */
export function makeTry(operation, body, schemas) {
  const media = body.content?.[JSON_TYPE];
  if (operation.method !== "get" && !(operation.method === "post" && (media || !body.content))) return [];
  const { id } = operation;
  const inputs = operation.parameters
    .map((given) => schemas.resolve(given).schema)
    .filter((one) => one.in === "path" || one.in === "query")
    .map((one) => ({ ...one, field: make("input", { value: one.example ?? one.schema?.default }) }));
  const labelled = inputs.map(({ name, field }) => make("label", {}, `${name} `, field));
  const text = media ? makeBody(`${id}-body`, media, schemas) : null;
  const result = make("div", { class: "result", "aria-live": "polite" });
  const send = make("button", { type: "submit", class: "primary" }, "Send");
  const name = `Try ${operation.method.toUpperCase()} ${operation.path}`;
  const form = make("form", { class: "attempt", "aria-label": name });
  form.append(make("h3", {}, "Try it"), ...labelled, ...(text ? [text.label, text.field] : []), send, result);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(operation, { inputs, body: text?.field.value }, result);
  });
  return [form];
}

function makeBody(id, media, schemas) {
  const example = schemas.examplesOf(media)[0]?.[1] ?? schemas.example(media.schema);
  const text = JSON.stringify(example, null, 2);
  const rows = Math.min(text.split("\n").length + 1, 16);
  const field = make("textarea", { id, rows, spellcheck: "false", class: "mono" });
  field.value = text;
  return { label: make("label", { for: id }, "Body"), field };
}

async function attempt(operation, { inputs, body }, result) {
  const headers = body === undefined ? {} : { "Content-Type": JSON_TYPE };
  const begun = performance.now();
  try {
    const sent = { method: operation.method.toUpperCase(), headers, body };
    const response = await fetch(addressOf(operation.path, inputs), sent);
    const text = await response.text();
    const took = milliseconds(performance.now() - begun);
    const said = make("p", { class: "hint" }, `${response.status} ${response.statusText} in ${took}`);
    result.replaceChildren(said, makeCode(indented(text)));
  } catch {
    result.replaceChildren(make("p", { class: "hint" }, "The server cannot be reached."));
  }
}

/** Relative, as all addresses of the page are. */
function addressOf(path, inputs) {
  const of = (place) => inputs.filter((one) => one.in === place).map((one) => [one.name, one.field.value]);
  const filled = of("path").reduce((url, [name, value]) => url.replace(`{${name}}`, encodeURIComponent(value)), path);
  const query = new URLSearchParams(of("query").filter(([, value]) => value));
  return `.${filled}${query.size ? `?${query}` : ""}`;
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
