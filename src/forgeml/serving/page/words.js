// Why this answer: the words of a text, marked by how much they speak for or against it.

import { make, withNumber } from "./dom.js";
import { hiddenText } from "./answers.js";
import { signed } from "./numbers.js";

const SHOWN_FROM = 0.1;
const LISTED = 5;

/**
 * The marked texts with legend, and the words that matter most as lists.
 * `texts` holds one or two texts, `explanation` is the answer of `/explain`, `topic` says what the words speak for.
 */
export function makeExplanation(texts, explanation, topic) {
  const points = texts.map((text) => Array.from(text));
  const words = explanation.words.map((word) => ({ ...word, place: Number(word.in_pair) }));
  const strongest = Math.max(0, ...words.map((word) => Math.abs(word.weight)));
  const matters = (word) => Math.abs(word.weight) > SHOWN_FROM * strongest;
  const marked = words.filter(matters);
  if (!marked.length) return [make("p", { class: "hint" }, `No single word of the text matters for ${topic}.`)];
  const shown = words.filter((word) => matters(word) || !word.read);
  const parts = points.map((own, place) => {
    const here = shown.filter((word) => word.place === place);
    return make("p", { class: "marked" }, ...pieces(own, here, strongest));
  });
  return [makeLegend(topic, shown.length > marked.length), ...parts, makeLists(marked, topic)];
}

/** The text as it is, with its marked words as elements. Places are counted in code points. */
function pieces(points, words, strongest) {
  const found = [];
  let reached = 0;
  for (const word of words.toSorted((one, other) => one.start - other.start)) {
    const text = points.slice(word.start, word.end).join("");
    found.push(points.slice(reached, word.start).join(""));
    found.push(word.read ? makeWord(text, word.weight, strongest) : make("span", { class: "unread" }, text));
    reached = word.end;
  }
  return [...found, points.slice(reached).join("")];
}

function makeWord(text, weight, strongest) {
  const kind = weight > 0 ? "for" : "against";
  const element = make("mark", { class: kind, title: `${signed(weight)} ${kind}` }, text);
  return withNumber(element, "--strength", (Math.abs(weight) / strongest).toFixed(3));
}

function makeLegend(topic, someUnread) {
  const speaksFor = make("mark", { class: "for" }, "for");
  const against = make("mark", { class: "against" }, "against");
  for (const sample of [speaksFor, against]) withNumber(sample, "--strength", 0.6);
  const about = make("strong", {}, topic);
  const unread = someUnread ? [". ", make("span", { class: "unread" }, "Struck"), " words were not read"] : [];
  const parts = ["Words that speak ", speaksFor, " (line below) or ", against, " (dots below) ", about, ...unread, "."];
  return make("p", { class: "legend" }, ...parts);
}

function makeLists(words, topic) {
  const strong = words.toSorted((one, other) => Math.abs(other.weight) - Math.abs(one.weight));
  const columns = [
    ["for", strong.filter((word) => word.weight > 0)],
    ["against", strong.filter((word) => word.weight < 0)],
  ];
  const lists = columns.map(([kind, some]) => makeList(kind, some.slice(0, LISTED), topic));
  return make("div", { class: "strongest" }, ...lists);
}

function makeList(kind, words, topic) {
  const title = make("h3", {}, kind === "for" ? "Most for" : "Most against", hiddenText(` ${topic}`));
  const items = words.map(({ text, weight }) =>
    make("li", {}, make("span", {}, text), make("span", { class: "weight" }, signed(weight))),
  );
  const list = items.length ? make("ol", {}, ...items) : make("p", { class: "hint" }, "none");
  return make("div", { class: kind }, title, list);
}
