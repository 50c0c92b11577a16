// What is known of the model and of this server.

import { taskOf } from "./answers.js";
import { byId, make, makeButton, makeFacts, makeTable } from "./dom.js";
import { count, percent } from "./numbers.js";

const READ = {
  truncate: (tokens) => `The first ${tokens} tokens; the rest is left out`,
  head_tail: (tokens) => `Beginning and end, ${tokens} tokens in all; the middle is left out`,
  windows: (tokens) => `All of it, in overlapping windows of ${tokens} tokens`,
};

/** Fills the head of the page and the tab of the model. */
export function showModel(info) {
  const { model } = info;
  byId("model-name").textContent = model.name;
  document.title = `${model.name} · ForgeML`;
  const kinds = [kindOf(model), model.engine, `version ${model.version}`];
  byId("model-kind").replaceChildren(...kinds.map((kind) => make("li", {}, kind)));
  byId("model-facts").replaceChildren(makeFacts(factsOf(info)));
  byId("model-metrics").replaceChildren(makeMetrics(info.metrics ?? {}));
  byId("model-labels").replaceChildren(...makeLabels(model));
  byId("model-limits").replaceChildren(makeLimits(info.limits));
  showCommand(model);
}

function kindOf(model) {
  if (model.task === "regression") return "a number";
  return `${count(model.labels.length)} ${model.task === "multi_label" ? "labels, any number a text" : "classes"}`;
}

function factsOf({ model, versions }) {
  return [
    ["Answers with", taskOf(model).name],
    ["Reads", model.pairs ? "pairs of texts" : "single texts"],
    ["Of a long text", READ[model.long_texts]?.(count(model.max_length)) ?? model.long_texts],
    ["Engine", `${model.engine} on ${model.device}`],
    ["About the engine", model.note || null],
    ["Version", make("code", {}, model.version)],
    [
      "Software",
      Object.entries(versions ?? {})
        .map(([name, version]) => `${name} ${version}`)
        .join(", ") || null,
    ],
  ];
}

function makeMetrics(metrics) {
  const splits = Object.keys(metrics).filter((split) => Object.keys(metrics[split] ?? {}).length);
  if (!splits.length) return make("p", { class: "hint" }, "The folder of the model holds no measurements.");
  const names = [...new Set(splits.flatMap((split) => Object.keys(metrics[split])))];
  const figure = (split, name) => (metrics[split][name] === undefined ? "" : metrics[split][name].toFixed(4));
  const rows = names.map((name) => [name.replaceAll("_", " "), ...splits.map((split) => figure(split, name))]);
  const table = makeTable(["Metric", ...splits.map((split) => split.replaceAll("_", " "))], rows, { class: "figures" });
  return make("div", { class: "wide", role: "region", "aria-label": "Metrics", tabindex: "0" }, table);
}

function makeLabels({ labels, thresholds, task }) {
  const name = task === "regression" ? "The number" : "Labels";
  const items = labels.map((label) => {
    const threshold = thresholds?.[label];
    const from = threshold === undefined ? "" : make("small", {}, ` from ${percent(threshold)}`);
    return make("li", { class: "chip" }, label, from);
  });
  const note = "A class is said from the probability that stands beside it.";
  const about = thresholds ? make("p", { class: "hint" }, note) : "";
  return [make("h2", {}, name), about, make("ul", { class: "chips" }, ...items)];
}

function makeLimits(limits) {
  const name = (key) => (key.endsWith("_s") ? `${key.slice(0, -2)}, seconds` : key).replaceAll("_", " ");
  return makeFacts(Object.entries(limits).map(([key, limit]) => [name(key), count(limit)]));
}

function showCommand(model) {
  const body = model.pairs
    ? { text: "The first text.", text_pair: "The second text." }
    : { text: "A text to be read." };
  const address = new URL("predict", document.baseURI).href;
  const command = `curl ${address} \\\n  -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body)}'`;
  byId("curl").textContent = command;
  if (!navigator.clipboard) return;
  const copy = makeButton("Copy", async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
  });
  byId("curl-copy").replaceChildren(copy);
}
