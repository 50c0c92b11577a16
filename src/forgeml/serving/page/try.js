// One text: the answer while it is typed, and the words that matter.

import { clipped, patientRequest } from "./api.js";
import { makeBars, makeHeadline, remarks, taskOf } from "./answers.js";
import { byId, make, makeButton } from "./dom.js";
import { hideError, say, showError } from "./notices.js";
import { milliseconds } from "./numbers.js";
import { makeExplanation } from "./words.js";

const TYPING_MS = 300;
/** An explanation costs the server hundreds of answers, so it waits for a longer rest. */
const RESTING_MS = 600;

/** Connects the form with the server. */
export function setUpTry({ model, limits }) {
  byId("try-pair").hidden = !model.pairs;
  if (model.pairs) byId("try-text").rows = byId("try-second").rows;
  byId("try-text-label").textContent = model.pairs ? "First text" : "Text";
  byId("why-choice").hidden = model.task === "regression";
  const classes = model.labels.map((label) => make("option", { value: label }, label));
  byId("why-label").replaceChildren(make("option", { value: "" }, "the answer"), ...classes);

  const why = new Why(model);
  const attempt = new Attempt(model, limits, why);
  for (const field of attempt.fields) {
    field.addEventListener("input", () => attempt.soon());
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) attempt.answer(0);
    });
  }
  byId("try-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt.answer(0);
  });
  for (const control of ["try-explain", "why-label"]) byId(control).addEventListener("change", () => why.ask(0));
  attempt.clear();
}

/** What is asked and answered; a new text ends all that is under way for the one before. */
class Attempt {
  constructor(model, limits, why) {
    Object.assign(this, { model, limits, why, timer: 0, controller: new AbortController(), all: false });
    this.fields = model.pairs ? [byId("try-text"), byId("try-second")] : [byId("try-text")];
  }

  stop() {
    clearTimeout(this.timer);
    this.controller.abort();
    this.why.stop();
  }

  soon() {
    this.stop();
    this.timer = setTimeout(() => this.answer(RESTING_MS), TYPING_MS);
  }

  body() {
    const [text, second] = this.fields.map((field) => clipped(field.value, this.limits));
    return this.model.pairs ? { text, text_pair: second } : { text };
  }

  async answer(restMs) {
    this.stop();
    hideError();
    const body = this.body();
    if (!Object.values(body).some((text) => text.trim())) return this.clear();
    const { signal } = (this.controller = new AbortController());
    byId("try-answer").setAttribute("aria-busy", "true");
    try {
      const begun = performance.now();
      this.prediction = await patientRequest("predict", { body, signal });
      this.show(performance.now() - begun);
      this.why.ask(restMs, body);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      this.clear();
      showError(error, () => this.answer(0));
    }
    return byId("try-answer").setAttribute("aria-busy", "false");
  }

  show(took) {
    this.draw();
    byId("try-took").textContent = `Answered in ${milliseconds(took)}`;
    say([`Answer: ${taskOf(this.model).sentence(this.prediction)}.`, ...remarks(this.prediction)].join(" "));
  }

  draw() {
    const notes = remarks(this.prediction).map((text) => make("p", { class: "note" }, text));
    const bars = makeBars(this.prediction, this.model, { all: this.all, onAll: () => this.turnAll() });
    byId("try-result").replaceChildren(makeHeadline(this.prediction, this.model), ...notes, bars ?? "");
  }

  turnAll() {
    this.all = !this.all;
    this.draw();
    byId("try-result").querySelector("button").focus();
  }

  clear() {
    byId("try-answer").setAttribute("aria-busy", "false");
    byId("try-result").replaceChildren(make("p", { class: "hint" }, "The answer appears here while you type."));
    byId("try-took").textContent = "";
    this.why.clear();
  }
}

/** The words that matter for the answer, or for a class that is chosen. */
class Why {
  constructor(model) {
    Object.assign(this, { model, timer: 0, controller: new AbortController(), body: null });
  }

  stop() {
    clearTimeout(this.timer);
    this.controller.abort();
  }

  clear() {
    this.stop();
    this.body = null;
    byId("why").hidden = true;
  }

  /** Explain after a rest; without a body, the text of before once more. */
  ask(restMs, body = this.body) {
    this.stop();
    this.body = body;
    const wanted = body !== null && byId("try-explain").checked;
    byId("why").hidden = !wanted;
    if (!wanted) return;
    this.busy(true);
    this.timer = setTimeout(() => this.explain(), restMs);
  }

  async explain() {
    const { signal } = (this.controller = new AbortController());
    const label = byId("why-label").value;
    const body = label ? { ...this.body, label } : this.body;
    try {
      const explanation = await patientRequest("explain", { body, signal });
      const topic = this.model.task === "regression" ? "a higher value" : explanation.label;
      byId("why-words").replaceChildren(...makeExplanation(Object.values(this.body), explanation, topic));
    } catch (error) {
      if (error.name === "AbortError") return;
      const sentence = make("p", { class: "hint" }, `No explanation this time. ${error.message}`);
      byId("why-words").replaceChildren(
        sentence,
        makeButton("Try again", () => this.ask(0)),
      );
    }
    this.busy(false);
  }

  busy(isBusy) {
    byId("why-busy").hidden = !isBusy;
    byId("why-words").setAttribute("aria-busy", String(isBusy));
  }
}
