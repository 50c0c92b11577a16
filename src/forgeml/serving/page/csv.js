// Delimited text, read and written as RFC 4180 says, and the cells that a spreadsheet would run.

const DELIMITERS = [",", ";", "\t"];
const SAMPLE = 65536;

/** What makes a file unreadable; the message is a sentence for people. */
export class CsvError extends Error {}

/**
 * Rows of cells. Quotes may hold delimiters, line breaks and doubled quotes; blank lines are left out.
 * `delimiter` empty: every line is one cell. Returns `{rows, lines}`: `lines` holds where each row begins, from 1.
 */
export function parse(text, delimiter) {
  const rows = [];
  const lines = [];
  let line = 1;
  let at = 0;
  while (at < text.length) {
    const row = [];
    const begins = line;
    const blank = text[at] === "\n" || text[at] === "\r";
    let more = true;
    while (more) {
      const cell = text[at] === '"' ? quoted(text, at, begins) : { value: "", at, breaks: 0 };
      const end = plainEnd(text, cell.at, delimiter);
      row.push(cell.value + text.slice(cell.at, end));
      line += cell.breaks;
      more = end < text.length && text[end] === delimiter;
      at = more ? end + 1 : pastBreak(text, end);
    }
    line += 1;
    if (!blank) {
      rows.push(row);
      lines.push(begins);
    }
  }
  return { rows, lines };
}

/** A cell from its opening quote on: its content, the place behind the closing quote, the line breaks inside. */
function quoted(text, start, line) {
  let value = "";
  let from = start + 1;
  for (;;) {
    const end = text.indexOf('"', from);
    if (end < 0) throw new CsvError(`A quotation mark is opened in the row of line ${line} and never closed.`);
    value += text.slice(from, end);
    if (text[end + 1] !== '"') return { value, at: end + 1, breaks: value.match(/\r\n|\r|\n/g)?.length ?? 0 };
    value += '"';
    from = end + 2;
  }
}

function plainEnd(text, start, delimiter) {
  let end = start;
  while (end < text.length) {
    const character = text[end];
    if (character === delimiter || character === "\n" || character === "\r") break;
    end += 1;
  }
  return end;
}

const pastBreak = (text, at) => at + (text[at] === "\r" && text[at + 1] === "\n" ? 2 : 1);

/** The delimiter whose columns agree best in the first rows; empty where the first row has none. */
export function detectDelimiter(text) {
  let best = { delimiter: "", agreement: 0, width: 1 };
  for (const delimiter of DELIMITERS) {
    const rows = sample(text, delimiter);
    const width = rows[0]?.length ?? 1;
    if (width < 2) continue;
    const agreement = rows.filter((row) => row.length === width).length / rows.length;
    if (agreement > best.agreement || (agreement === best.agreement && width > best.width)) {
      best = { delimiter, agreement, width };
    }
  }
  return best.delimiter;
}

/** The first rows. A sample that ends inside quotation marks is closed, and its last row is not counted. */
function sample(text, delimiter) {
  const whole = text.length <= SAMPLE;
  const begin = whole ? text : text.slice(0, SAMPLE);
  for (const end of ["", '"']) {
    try {
      const { rows } = parse(begin + end, delimiter);
      return whole || rows.length < 2 ? rows : rows.slice(0, -1);
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
    }
  }
  return [];
}

/** A file as a table: `{header, rows, delimiter, lineBreak, mark, encoding}`. */
export function readTable(bytes) {
  const { text, mark, encoding } = decode(bytes);
  const delimiter = detectDelimiter(text);
  const { rows, lines } = parse(text, delimiter);
  if (rows.length < 2) throw new CsvError("The file has no rows below the names of the columns.");
  const header = rows.shift();
  const odd = rows.findIndex((row) => row.length !== header.length);
  if (odd >= 0) {
    throw new CsvError(
      `The row of line ${lines[odd + 1]} has ${rows[odd].length} cells where the first row has ${header.length}.`,
    );
  }
  const lineBreak = /\r\n|\r|\n/.exec(text)?.[0] ?? "\n";
  return { header, rows, delimiter, lineBreak, mark, encoding };
}

/** UTF-8 or, by its mark, UTF-16; bytes that are neither are read as Windows-1252. */
function decode(bytes) {
  const [first, second] = bytes;
  const sixteen = { "255 254": "utf-16le", "254 255": "utf-16be" }[`${first} ${second}`];
  const mark = bytes.length > 2 && first === 0xef && second === 0xbb && bytes[2] === 0xbf;
  if (sixteen) return { text: new TextDecoder(sixteen).decode(bytes), mark: true, encoding: "UTF-16" };
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes), mark, encoding: "UTF-8" };
  } catch {
    return { text: new TextDecoder("windows-1252").decode(bytes), mark: false, encoding: "Windows-1252" };
  }
}

/**
 * Rows as text, with an apostrophe in front of every cell that a spreadsheet would run.
 * Returns `{text, guarded}`: `guarded` is the number of those cells.
 */
export function write(rows, { delimiter, lineBreak, mark }) {
  const between = delimiter || ",";
  const special = new RegExp(`["\\r\\n${between}]`);
  let guarded = 0;
  const cell = (content) => {
    const runs = isFormula(content);
    guarded += runs;
    const safe = runs ? `'${content}` : content;
    return special.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = Array.from(rows, (row) => row.map(cell).join(between) + lineBreak);
  return { text: (mark ? "\ufeff" : "") + lines.join(""), guarded };
}

// What begins like a formula and can only be a number, as people spell them; the same as for `forgeml predict -o`.
const HARMLESS = [
  String.raw`[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?`,
  String.raw`[+-] ?[.,]?\d+([.,: \xa0\u202f]\d+)*\.?([ \xa0\u202f]?%)? *`,
  String.raw`(?=(\D*\d){7,15}\D*$)\+(\(\d+\)[ -]?)?\d+([ .-]\d+|[ -]?\(\d+\)[ -]?\d+)* *`,
  "-+",
];
const NUMBER = new RegExp(`^(?:${HARMLESS.join("|")})$`);

/** Whether a spreadsheet may take the cell for a formula. */
export const isFormula = (content) => /^[=+\-@\t\r]/.test(content) && !NUMBER.test(content);

/** A name for each added column that no other column has. */
export function freeNames(wanted, taken) {
  const used = new Set(taken);
  return wanted.map((name) => {
    let free = name;
    for (let number = 1; used.has(free); number += 1) free = `${name}_predicted${number > 1 ? `_${number}` : ""}`;
    used.add(free);
    return free;
  });
}

/** The column that holds the texts: by a name of `names`, in their order, else the one with the longest content. */
export function guessColumn(header, rows, names, except = -1) {
  const plain = header.map((name) => name.trim().toLowerCase());
  for (const name of names.filter((one) => typeof one === "string")) {
    const found = plain.indexOf(name.trim().toLowerCase());
    if (found >= 0 && found !== except) return found;
  }
  const lengths = header.map(() => 0);
  for (const row of rows.slice(0, 200)) row.forEach((cell, column) => (lengths[column] += cell.length));
  if (except >= 0) lengths[except] = -1;
  return lengths.indexOf(Math.max(...lengths));
}
