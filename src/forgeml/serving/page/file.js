// A CSV file: read here, answered by the server in batches, given back with the answers behind its columns.

import { batchBody, batches, clipped, patientRequest } from "./api.js";
import { makeBar, taskOf } from "./answers.js";
import { CsvError, freeNames, guessColumn, readTable, write } from "./csv.js";
import { byId, make, makeButton, makeTable } from "./dom.js";
import { hideError, say, showError } from "./notices.js";
import { count, percent, roughly, several, value } from "./numbers.js";

const MOST_BYTES = 50_000_000;
/** A busy server is asked so many times for the same rows before the user is. */
const TRIES = 20;
const PREVIEWED = 4;
const CLASSES_SHOWN = 12;

const STEPS = ["file-ready", "file-running", "file-done"];

/** Connects the file input, the place to drop on, and the buttons with the work. */
export function setUpFile({ model, limits, manifest }) {
  const work = new FileWork(model, limits, manifest);
  const input = byId("file-input");
  input.addEventListener("change", () => {
    const [file] = input.files;
    // Emptied, so that the same file can be chosen again after it was mended.
    input.value = "";
    if (file) work.open(file);
  });
  setUpDrop((file) => work.open(file));
  byId("file-pair").hidden = !model.pairs;
  byId("file-start").addEventListener("click", () => work.begin());
  byId("file-cancel").addEventListener("click", () => work.cancel());
  for (const id of ["file-column", "file-second"]) byId(id).addEventListener("change", () => work.preview());
  window.addEventListener("beforeunload", (event) => work.running && event.preventDefault());
}

/** A file may be dropped anywhere while its tab is open: beside the marked place the browser would leave the page. */
function setUpDrop(onFile) {
  const place = byId("drop");
  const light = (on) => place.classList.toggle("is-over", on);
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    light(true);
  });
  window.addEventListener("dragleave", () => light(false));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    light(false);
    const [file] = event.dataTransfer.files;
    if (file && place.checkVisibility()) onFile(file);
  });
}

function showStep(wanted) {
  for (const id of STEPS) byId(id).hidden = id !== wanted;
  byId("drop").classList.toggle("is-small", wanted !== null);
  byId("drop").hidden = wanted === "file-running";
}

class FileWork {
  constructor(model, limits, manifest) {
    Object.assign(this, { model, limits, columns: manifest?.data ?? {}, running: false, address: null });
    this.controller = new AbortController();
  }

  async open(file) {
    this.controller.abort();
    this.running = false;
    this.name = file.name;
    hideError();
    showStep(null);
    try {
      if (file.size > MOST_BYTES) throw new CsvError(TOO_LARGE);
      this.table = readTable(new Uint8Array(await file.arrayBuffer()));
    } catch (error) {
      showError(error instanceof CsvError ? error : new CsvError("The browser cannot read this file."));
      return;
    }
    this.predictions = [];
    this.choose();
  }

  choose() {
    const { header, rows, encoding } = this.table;
    const first = guessColumn(header, rows, [this.columns.text_column, "text"]);
    fillColumns(byId("file-column"), header, first);
    const second = guessColumn(header, rows, [this.columns.text_pair_column, "text_pair"], first);
    fillColumns(byId("file-second"), header, second);
    const note = encoding === "Windows-1252" ? " It is not UTF-8, so it was read as Windows-1252." : "";
    const size = `${several(rows.length, "row")}, ${several(header.length, "column")}.`;
    byId("file-about").replaceChildren(make("strong", {}, this.name), ` has ${size}${note}`);
    byId("file-start").textContent = `Label ${several(rows.length, "row")}`;
    this.preview();
    showStep("file-ready");
    say(`${this.name} is read: ${size}`);
  }

  preview() {
    const chosen = this.chosen();
    const rows = this.table.rows.slice(0, PREVIEWED).map((row) => chosen.map((column) => shortened(row[column])));
    const names = chosen.map((column) => this.table.header[column]);
    byId("file-preview").replaceChildren(makeTable(names, rows, { class: "answers" }));
    byId("file-stopped").hidden = true;
  }

  chosen() {
    const ids = this.model.pairs ? ["file-column", "file-second"] : ["file-column"];
    return ids.map((id) => Number(byId(id).value));
  }

  begin() {
    const [first, second] = this.chosen();
    const column = (place) => this.table.rows.map((row) => clipped(row[place], this.limits));
    this.texts = column(first);
    this.pairs = this.model.pairs ? column(second) : null;
    this.predictions = [];
    this.goOn();
  }

  /** Answer the rows that have no answer yet. */
  async goOn() {
    hideError();
    this.controller = new AbortController();
    this.running = true;
    this.begun = { at: performance.now(), done: this.predictions.length };
    showStep("file-running");
    byId("file-cancel").focus();
    try {
      await this.run(this.controller.signal);
      this.finish();
    } catch (error) {
      this.running = false;
      if (error.name !== "AbortError") {
        showStep("file-ready");
        showError(error, () => this.goOn());
      }
    }
  }

  async run(signal) {
    this.showProgress();
    const done = this.predictions.length;
    const [texts, pairs] = [this.texts.slice(done), this.pairs && this.pairs.slice(done)];
    const onWait = (seconds) =>
      (byId("file-left").textContent = `The server is busy; going on in ${roughly(seconds)}.`);
    for (const [start, end] of batches(texts, pairs, this.limits)) {
      const body = batchBody(texts.slice(start, end), pairs && pairs.slice(start, end));
      const answer = await patientRequest("predict/batch", { body, signal, tries: TRIES, onWait });
      // The scores of all classes would fill the memory, and no column holds them.
      this.predictions.push(...answer.predictions.map((one) => ({ ...one, scores: undefined })));
      this.showProgress();
    }
  }

  showProgress() {
    const [done, all] = [this.predictions.length, this.texts.length];
    Object.assign(byId("file-bar"), { max: all, value: done });
    byId("file-count").textContent = `${count(done)} of ${several(all, "row")}`;
    const speed = (done - this.begun.done) / (performance.now() - this.begun.at);
    byId("file-left").textContent = speed > 0 && done < all ? `about ${roughly((all - done) / speed / 1000)} left` : "";
  }

  cancel() {
    this.controller.abort();
    this.running = false;
    const text = `Stopped after ${count(this.predictions.length)} of ${several(this.texts.length, "row")}.`;
    byId("file-stopped").replaceChildren(
      make("span", {}, text),
      makeButton("Go on", () => this.goOn()),
    );
    byId("file-stopped").hidden = false;
    showStep("file-ready");
    say(text);
    byId("file-stopped").querySelector("button").focus();
  }

  finish() {
    this.running = false;
    const { guarded, added } = this.offer();
    const notes = [
      `Added behind the columns of the file: ${added.join(", ")}.`,
      guarded
        ? `${several(guarded, "cell")} that a spreadsheet would run as a formula got an apostrophe in front.`
        : "No cell looks like a formula to a spreadsheet, so all cells are as they were.",
      ...this.readingNotes(),
    ];
    byId("file-notes").replaceChildren(...notes.map((note) => make("li", {}, note)));
    byId("file-summary").replaceChildren(...summary(this.predictions, this.model));
    showStep("file-done");
    byId("file-download").focus();
    say(`${several(this.texts.length, "row")} are labelled. The download is ready.`);
  }

  offer() {
    const { header, rows } = this.table;
    const task = taskOf(this.model);
    const added = freeNames(task.columns, header);
    const all = rows.map((row, place) => [...row, ...task.cells(this.predictions[place])]);
    const { text, guarded } = write([[...header, ...added], ...all], this.table);
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    const name = `${this.name.replace(/\.[^.]*$/, "")}_labelled.csv`;
    Object.assign(byId("file-download"), { href: this.address, download: name, textContent: `Download ${name}` });
    return { guarded, added };
  }

  readingNotes() {
    const empty = this.predictions.filter((one) => one.empty).length;
    const cut = this.predictions.filter((one) => one.truncated).length;
    return [
      empty && `${several(empty, "text")} had nothing to read.`,
      cut && `${several(cut, "text")} had more than the model reads; a part was not read.`,
    ].filter(Boolean);
  }
}

const TOO_LARGE =
  "The file is larger than the 50 MB that this page takes. " +
  "The command line has no such bound: forgeml predict FILE -o OUT.";

const shortened = (text) => (text.length > 160 ? `${text.slice(0, 160)}\u2026` : text);

function fillColumns(select, header, chosen) {
  const options = header.map((name, place) => make("option", { value: place }, name || `(column ${place + 1})`));
  select.replaceChildren(...options);
  select.value = String(chosen);
}

/** How often each class was said; of numbers their range. */
function summary(predictions, model) {
  if (model.task === "regression") {
    const values = predictions.map((one) => one.value);
    const [least, most] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return [make("p", {}, `Values from ${value(least)} to ${value(most)}, ${value(mean)} on average.`)];
  }
  const said = new Map();
  for (const label of predictions.flatMap(taskOf(model).said)) said.set(label, (said.get(label) ?? 0) + 1);
  const often = [...said].sort(([, one], [, other]) => other - one);
  const bars = often.slice(0, CLASSES_SHOWN).map(([label, number]) => {
    const share = number / predictions.length;
    return makeBar(label, share, { text: `${count(number)} (${percent(share)})` });
  });
  const rest = often.length - bars.length;
  return [make("ol", { class: "bars" }, ...bars), rest ? make("p", { class: "hint" }, `and ${rest} more`) : ""];
}
