// Several texts, one a line, answered together in a table.

import { batchBody, batches, clipped, patientRequest } from "./api.js";
import { briefRemarks } from "./answers.js";
import { byId, make, makeTable } from "./dom.js";
import { hideError, say, showError } from "./notices.js";
import { count, milliseconds, percent, several, value } from "./numbers.js";

/** Connects the form with the server. */
export function setUpSeveral({ model, limits }) {
  const field = byId("several-texts");
  let controller = new AbortController();
  byId("several-hint").textContent = model.pairs
    ? "One pair a line: the first text, a tab or |, the second text."
    : "One text a line. Lines without text are left out.";

  async function answer() {
    controller.abort();
    controller = new AbortController();
    hideError();
    const { signal } = controller;
    const { texts, pairs } = asked(field.value, model, limits);
    if (!texts.length) return field.focus();
    const place = byId("several-answers");
    place.setAttribute("aria-busy", "true");
    try {
      const begun = performance.now();
      const predictions = await predictAll({ texts, pairs, limits, signal });
      const took = milliseconds(performance.now() - begun);
      place.replaceChildren(makeAnswers({ texts, pairs }, predictions, model));
      byId("several-took").textContent = `${several(texts.length, "text")} answered in ${took}`;
      say(`${several(texts.length, "text")} answered.`);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      showError(error, answer);
    }
    return place.setAttribute("aria-busy", "false");
  }

  byId("several-form").addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) answer();
  });
}

function asked(text, model, limits) {
  const lines = text.split("\n").filter((line) => line.trim());
  if (!model.pairs) return { texts: lines.map((line) => clipped(line, limits)), pairs: null };
  const halves = lines.map((line) => /^([^\t|]*)[\t|]?([^]*)$/.exec(line));
  return {
    texts: halves.map(([, one]) => clipped(one, limits)),
    pairs: halves.map(([, , other]) => clipped(other, limits)),
  };
}

async function predictAll({ texts, pairs, limits, signal }) {
  const predictions = [];
  for (const [start, end] of batches(texts, pairs, limits)) {
    const body = batchBody(texts.slice(start, end), pairs && pairs.slice(start, end));
    predictions.push(...(await patientRequest("predict/batch", { body, signal })).predictions);
  }
  return predictions;
}

const said = (labels) =>
  labels.length
    ? make("span", { class: "chips" }, ...labels.map((label) => make("span", { class: "chip" }, label)))
    : make("span", { class: "none" }, "none");

/** For each task the columns behind the texts: what stands above them, and in them. */
const ANSWERS = {
  single_label: [
    ["Answer", (one) => said([one.label])],
    ["Score", (one) => percent(one.score)],
  ],
  multi_label: [["Answer", (one) => said(one.labels)]],
  regression: [["Value", (one) => value(one.value)]],
};

/** Texts and what is said of each. */
function makeAnswers({ texts, pairs }, predictions, model) {
  const columns = [
    ["Row", (one, place) => count(place + 1)],
    [pairs ? "First text" : "Text", (one, place) => texts[place]],
    ...(pairs ? [["Second text", (one, place) => pairs[place]]] : []),
    ...(predictions.some(briefRemarks) ? [["Note", briefRemarks]] : []),
    ...ANSWERS[model.task],
  ];
  const rows = predictions.map((one, place) => columns.map(([, cell]) => cell(one, place)));
  const kind = model.task === "multi_label" ? "answers" : "answers ends-in-number";
  const table = makeTable(
    columns.map(([name]) => name),
    rows,
    { class: kind },
  );
  return make("div", { class: "wide", role: "region", "aria-label": "Answers", tabindex: "0" }, table);
}
