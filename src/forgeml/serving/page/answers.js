// What the model says of a text, as people read it: in a line, in bars, in the cells of a file.

import { make, makeButton, withNumber } from "./dom.js";
import { count, percent, value } from "./numbers.js";

const SHOWN_AT_FIRST = 10;

/** Classes and their scores, the highest first. */
const ranked = (prediction) => Object.entries(prediction.scores).sort(([, one], [, other]) => other - one);

/** For each task: how an answer is told, and which columns a file gets. */
const TASKS = {
  single_label: {
    name: "one class a text",
    said: (prediction) => [prediction.label],
    sentence: (prediction) => `${prediction.label}, ${percent(prediction.score)}`,
    headline: (prediction) => [named(prediction.label), figure(percent(prediction.score))],
    columns: ["label", "score"],
    cells: (prediction) => [prediction.label, rounded(prediction.score)],
  },
  multi_label: {
    name: "any number of classes a text",
    said: (prediction) => prediction.labels,
    sentence: (prediction) => prediction.labels.join(", ") || "none of the classes",
    headline: (prediction) => (prediction.labels.length ? prediction.labels.map(named) : [nothing()]),
    columns: ["labels"],
    cells: (prediction) => [prediction.labels.join("|")],
  },
  regression: {
    name: "a number for each text",
    said: () => [],
    sentence: (prediction) => value(prediction.value),
    headline: (prediction, model) => [
      figure(value(prediction.value)),
      make("span", { class: "none" }, model.labels[0]),
    ],
    columns: ["value"],
    cells: (prediction) => [String(Number(prediction.value.toPrecision(7)))],
  },
};

export const taskOf = (model) => TASKS[model.task];

const named = (label) => make("strong", { class: "said" }, label);
const figure = (text) => make("span", { class: "figure" }, text);
const nothing = () => make("span", { class: "none" }, "None of the classes reaches its threshold");
const rounded = (score) => String(Number(score.toFixed(7)));

/** The answer in large, and in words what was not read. */
export function makeHeadline(prediction, model) {
  return make("div", { class: "headline" }, ...taskOf(model).headline(prediction, model));
}

/** Sentences about what the model has read. */
export function remarks(prediction) {
  return [
    prediction.empty && "The text is empty for the model: what it answers says nothing about a text.",
    prediction.truncated && "The text is longer than what the model reads; a part of it was not read.",
  ].filter(Boolean);
}

/** What the model has read, in two words for a table. */
export function briefRemarks(prediction) {
  return [prediction.empty && "empty", prediction.truncated && "not read whole"].filter(Boolean).join(", ");
}

/** Every class as a bar; of many the first ten and those that are said, until all are asked for. Null for a number. */
export function makeBars(prediction, model, { all, onAll }) {
  if (!prediction.scores) return null;
  const classes = ranked(prediction);
  const said = new Set(taskOf(model).said(prediction));
  const shown = classes.filter(([label], place) => all || place < SHOWN_AT_FIRST || said.has(label));
  const mark = model.task === "multi_label";
  const rows = shown.map(([label, score]) =>
    makeBar(label, score, { text: percent(score), said: said.has(label), mark }),
  );
  const list = make("ol", { class: "bars" }, ...rows);
  if (classes.length <= SHOWN_AT_FIRST) return list;
  const text = all ? "Show the first ones" : `Show all ${count(classes.length)} classes`;
  return make("div", {}, list, makeButton(text, onAll));
}

/** One line with a name, a share as a bar, and the share in figures; `mark` is for those that are said. */
export function makeBar(label, share, { text, said = false, mark = false }) {
  const track = make("span", { class: "track", "aria-hidden": "true" }, withNumber(make("span"), "--share", share));
  const tick =
    said && mark ? make("span", { class: "tick", title: "said of the text" }, "\u2713", hiddenText(" (said)")) : null;
  const name = make("span", { class: "name" }, label, tick);
  return make("li", { class: said ? "is-said" : "" }, name, make("span", { class: "share" }, text), track);
}

/** Words for those who hear the page. */
export const hiddenText = (text) => make("span", { class: "hidden" }, text);
