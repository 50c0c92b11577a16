// Elements. All content is set as text, never as HTML, so that a label or a text can hold anything.

export const byId = (id) => document.getElementById(id);

/** A new element; an attribute that is true is set empty, one that is false, null or undefined is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** A button that does something; `kind` is its class. */
export function makeButton(text, onClick, kind = "quiet") {
  const button = make("button", { type: "button", class: kind }, text);
  button.addEventListener("click", onClick);
  return button;
}

/** What a style needs to know of a number: the content policy lets scripts set it, and HTML not. */
export function withNumber(element, property, value) {
  element.style.setProperty(property, String(value));
  return element;
}

/** A table with a header row; cells are strings or elements. */
export function makeTable(headers, rows, attributes = {}) {
  const head = headers.map((header) => make("th", { scope: "col" }, header));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", {}, cell))));
  return make("table", attributes, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

/** Names and values as a description list; values are strings or elements, and null leaves a line out. */
export function makeFacts(facts) {
  const lines = facts.filter(([, value]) => value != null);
  const rows = lines.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  return make("dl", { class: "facts" }, ...rows);
}

/** Text as it is, in a box. */
export const makeCode = (text) => make("pre", { class: "code" }, make("code", {}, text));
