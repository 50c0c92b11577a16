// JSON Schema as OpenAPI 3.1 has it, for people: names of types, lists of fields, an example of a value.

import { make } from "./dom.js";

const DEEPEST = 6;

/** Follows references; `name` is that of the last one. */
export class Schemas {
  constructor(document) {
    this.document = document;
  }

  resolve(schema = {}) {
    let found = schema;
    let name = null;
    for (let hops = 0; found.$ref && hops < DEEPEST; hops += 1) {
      name = found.$ref.split("/").pop();
      const keys = found.$ref.split("/").slice(1);
      const plain = keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
      found = plain.reduce((part, key) => part?.[key], this.document) ?? {};
    }
    return { schema: found.allOf ? this.merged(found) : found, name };
  }

  /** All of several schemas as one. */
  merged(schema) {
    const parts = schema.allOf.map((part) => this.resolve(part).schema);
    const properties = Object.assign({}, ...parts.map((part) => part.properties), schema.properties);
    const required = [...parts, schema].flatMap((part) => part.required ?? []);
    return Object.assign({}, ...parts, schema, { properties, required, allOf: undefined });
  }

  /** `string`, `list of numbers`, `Prediction or null`. */
  typeName(given) {
    const { schema, name } = this.resolve(given);
    const choices = schema.anyOf ?? schema.oneOf;
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
    if (choices) return [...new Set(choices.map((choice) => this.typeName(choice)))].join(" or ");
    if (schema.type === "array") return schema.items ? `list of ${this.typeName(schema.items)}` : "list";
    if (schema.type === "object" || schema.properties) return name ?? this.mapName(schema);
    return [schema.type ?? "anything"].flat().join(" or ");
  }

  mapName(schema) {
    const values = schema.additionalProperties;
    return !schema.properties && values && typeof values === "object" ? `object of ${this.typeName(values)}` : "object";
  }

  /** An element with the fields of an object, and those of the objects in it; null where there are none. */
  makeFields(given, seen = []) {
    const { schema, name } = this.resolve(given);
    if (seen.length > DEEPEST || (name && seen.includes(name))) return null;
    const inside = [...seen, name ?? ""];
    const inner = schema.anyOf ?? schema.oneOf ?? [schema.items, schema.additionalProperties];
    const parts = schema.properties
      ? [this.makeList(schema, inside)]
      : inner.filter((part) => part && typeof part === "object").map((part) => this.makeFields(part, inside));
    const found = parts.filter(Boolean);
    return found.length ? make("div", {}, ...found) : null;
  }

  makeList(schema, seen) {
    const required = new Set(schema.required ?? []);
    const items = Object.entries(schema.properties).map(([name, field]) => {
      const about = this.resolve(field).schema;
      const bounds = boundsOf(about);
      const head = make(
        "p",
        {},
        make("code", { class: "field" }, name),
        make("span", { class: "type" }, ` ${this.typeName(field)}`),
        make("span", { class: "type" }, required.has(name) ? ", required" : ""),
        bounds ? make("span", { class: "type" }, `, ${bounds}`) : "",
      );
      const description = field.description ?? about.description;
      return make("li", {}, head, ...(description ? makeProse(description) : []), this.makeFields(field, seen) ?? "");
    });
    return make("ul", { class: "fields" }, ...items);
  }

  exampleOfObject({ properties, required = [] }, depth) {
    const wanted = Object.entries(properties).filter(([name]) => required.includes(name));
    return Object.fromEntries(wanted.map(([name, field]) => [name, this.example(field, depth + 1)]));
  }

  /** `[name, value]` of each example that the document gives for a body. */
  examplesOf(media) {
    const named = Object.entries(media.examples ?? {}).map(([name, given]) => {
      const example = this.resolve(given).schema;
      return [example.summary ?? name, example.value];
    });
    const own = this.resolve(media.schema).schema;
    const alone = media.example ?? own.example ?? own.examples?.[0];
    return named.length || alone === undefined ? named : [["Example", alone]];
  }

  /** A value that fits: what the document gives as one, or one that is made up from the types. */
  example(given, depth = 0) {
    const { schema } = this.resolve(given);
    const told = [schema.examples?.[0], schema.example, schema.default, schema.const, schema.enum?.[0]];
    const found = told.find((value) => value !== undefined && value !== null);
    if (found !== undefined || depth > DEEPEST) return found ?? null;
    const choices = schema.anyOf ?? schema.oneOf;
    if (choices) return this.example(choices[0], depth + 1);
    if (schema.properties) return this.exampleOfObject(schema, depth);
    if (schema.type === "array") return schema.items ? [this.example(schema.items, depth + 1)] : [];
    return PLAIN[[schema.type].flat()[0]] ?? null;
  }
}

const PLAIN = { string: "text", number: 0.5, integer: 1, boolean: true, object: {} };

const BOUNDS = [
  ["default", (value) => (value === null ? "" : `default ${JSON.stringify(value)}`)],
  ["minimum", (value) => `from ${value}`],
  ["maximum", (value) => `up to ${value}`],
  ["minLength", (value) => `at least ${value} characters`],
  ["maxLength", (value) => `at most ${value} characters`],
  ["minItems", (value) => `at least ${value}`],
  ["maxItems", (value) => `at most ${value}`],
  ["pattern", (value) => `as ${value}`],
];

const boundsOf = (schema) =>
  BOUNDS.filter(([name]) => schema[name] !== undefined)
    .map(([name, text]) => text(schema[name]))
    .filter(Boolean)
    .join(", ");

/** Paragraphs, with what stands in backticks as code. */
export function makeProse(text) {
  return text
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) => {
      const pieces = paragraph.split(/`([^`]+)`/);
      return make("p", {}, ...pieces.map((piece, place) => (place % 2 ? make("code", {}, piece) : piece)));
    });
}
