// The page at `/docs`: the server's OpenAPI document, readable, with a form to try each operation.

import { request } from "./api.js";
import { byId, make, makeCode, makeTable } from "./dom.js";
import { makeTry } from "./attempt.js";
import { showError } from "./notices.js";
import { makeProse, Schemas } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];

async function start() {
  let openapi;
  try {
    openapi = await request("openapi.json");
  } catch (error) {
    showError(error, start);
    return;
  }
  const { info } = openapi;
  document.title = `${info.title} · API`;
  byId("title").textContent = info.title;
  const version = make("p", { class: "hint" }, `Version ${info.version}`);
  byId("about").replaceChildren(version, ...makeProse(info.description ?? info.summary ?? ""));
  const groups = grouped(openapi);
  byId("contents").replaceChildren(...groups.map(makeContents));
  const schemas = new Schemas(openapi);
  byId("operations").replaceChildren(...groups.map((group) => makeGroup(group, schemas)));
  byId("main").setAttribute("aria-busy", "false");
  openByAddress();
}

/** Operations by their first tag, in the order of the document: `[{name, description, operations}]`. */
function grouped({ paths, tags = [] }) {
  const groups = new Map(tags.map((tag) => [tag.name, { ...tag, operations: [] }]));
  for (const [path, item] of Object.entries(paths ?? {})) {
    for (const method of METHODS.filter((one) => item[one])) {
      const parameters = [...(item.parameters ?? []), ...(item[method].parameters ?? [])];
      const operation = { ...item[method], path, method, parameters };
      const name = operation.tags?.[0] ?? "Other";
      if (!groups.has(name)) groups.set(name, { name, operations: [] });
      groups.get(name).operations.push(operation);
    }
  }
  return [...groups.values()].filter((group) => group.operations.length);
}

const anchorOf = ({ method, path }) => `${method}${path.replace(/[^A-Za-z0-9]+/g, "-").replace(/-$/, "")}`;
const makeMethod = (method) => make("span", { class: `method ${method}` }, method.toUpperCase());

function makeContents({ name, operations }) {
  const items = operations.map((operation) => {
    const path = make("code", {}, operation.path);
    return make("li", {}, make("a", { href: `#${anchorOf(operation)}` }, makeMethod(operation.method), " ", path));
  });
  return make("div", {}, make("h2", {}, name), make("ul", {}, ...items));
}

function makeGroup({ name, description, operations }, schemas) {
  const about = description ? makeProse(description) : [];
  return make("section", {}, make("h2", {}, name), ...about, ...operations.map((one) => makeOperation(one, schemas)));
}

function makeOperation(operation, schemas) {
  const summary = make(
    "summary",
    {},
    makeMethod(operation.method),
    make("code", { class: "path" }, operation.path),
    make("span", { class: "summary" }, operation.summary ?? ""),
  );
  const details = make("details", { class: "operation", id: anchorOf(operation) }, summary);
  // Filled when it is first opened: a document has many operations, and few are looked at.
  details.addEventListener("toggle", () => details.append(...makeInside(operation, schemas)), { once: true });
  return details;
}

function makeInside(operation, schemas) {
  const body = schemas.resolve(operation.requestBody).schema;
  return [
    ...makeProse(operation.description ?? ""),
    ...makeParameters(operation.parameters, schemas),
    ...(body.content ? [make("h3", {}, "Request"), ...makeContent(body.content, schemas)] : []),
    ...makeTry({ ...operation, id: anchorOf(operation) }, body, schemas),
    make("h3", {}, "Responses"),
    ...Object.entries(operation.responses ?? {}).map(([status, given]) => makeResponse(status, given, schemas)),
  ];
}

function makeParameters(parameters, schemas) {
  if (!parameters.length) return [];
  const rows = parameters.map((given) => {
    const one = schemas.resolve(given).schema;
    const need = one.required ? "required" : "optional";
    return [make("code", {}, one.name), one.in, `${schemas.typeName(one.schema)}, ${need}`, one.description ?? ""];
  });
  const table = makeTable(["Name", "In", "Type", "Meaning"], rows);
  const scrolling = { class: "wide", role: "region", "aria-label": "Parameters", tabindex: "0" };
  return [make("h3", {}, "Parameters"), make("div", scrolling, table)];
}

/** For each content type its fields and its examples. */
function makeContent(content, schemas) {
  return Object.entries(content).map(([type, media]) => {
    const fields = schemas.makeFields(media.schema);
    const kind = media.schema ? `, ${schemas.typeName(media.schema)}` : "";
    const about = make("p", { class: "hint" }, `${type}${kind}`);
    return make("div", {}, about, fields ?? "", ...makeExamples(media, schemas));
  });
}

function makeExamples(media, schemas) {
  return schemas.examplesOf(media).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return make("figure", {}, make("figcaption", { class: "hint" }, name), makeCode(text));
  });
}

function makeResponse(status, given, schemas) {
  const response = schemas.resolve(given).schema;
  const title = make("summary", {}, make("code", {}, status), ` ${response.description ?? ""}`);
  const content = makeContent(response.content ?? {}, schemas);
  if (!content.length) return make("p", { class: "response" }, ...title.childNodes);
  return make("details", { class: "response" }, title, ...content);
}

function openByAddress() {
  const found = location.hash && document.getElementById(location.hash.slice(1));
  if (!(found instanceof HTMLDetailsElement)) return;
  found.open = true;
  found.scrollIntoView();
}

window.addEventListener("hashchange", openByAddress);
start();
