/**
 * Terminal output as rows of text with styles. Nothing of it is ever HTML: a row is a string, and a style is one of a few
 * names or a colour that was computed from numbers.
 *
 * Colours and weights (SGR) are understood; every other escape sequence is dropped; a carriage return writes over its line,
 * as progress bars want it. Characters that would not be seen, or that would turn the reading order, are shown as signs.
 * Invariant: a row has at most ROW_MAX characters, however long the line, and a sequence that never ends swallows at most
 * SEQUENCE_MAX of them.
 *
 * @typedef {{ classes: string, color: string | null, background: string | null }} Style
 * @typedef {{ at: number, style: Style | null }} Mark from this character on
 * @typedef {{ seq: number, stream: number, text: string, marks: Mark[] | null, open: boolean }} Row
 * `seq` is the chunk it begins in; `open`: it goes on in the next row, without a line break
 */
export const ROW_MAX = 4000;
const SEQUENCE_MAX = 4096;
const ESC = 0x1b;

/** Anything that is not plain text: C0 but tab, DEL, C1, line and paragraph separators, bidirectional controls. */
// eslint-disable-next-line no-control-regex -- these are what is looked for
const SPECIAL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
/** @type {Record<number, string>} */
const WEIGHTS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
/** @type {Record<number, string[]>} */
const WEIGHTS_OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };

/** @typedef {{ weights: Set<string>, fg: string | null, bg: string | null, color: string | null, background: string | null }} Pen */

/** @returns {Pen} */
const newPen = () => ({ weights: new Set(), fg: null, bg: null, color: null, background: null });

/** @param {Pen} pen @returns {Style | null} null is plain text */
function styleOf(pen) {
  const classes = [...pen.weights, pen.fg && `fg-${pen.fg}`, pen.bg && `bg-${pen.bg}`].filter(Boolean).join(" ");
  if (!classes && !pen.color && !pen.background) return null;
  return { classes, color: pen.color, background: pen.background };
}

/** @param {number} number 0 … 255 @returns {{ name: string | null, color: string | null }} */
function paletteColor(number) {
  if (number < 8) return { name: NAMES[number], color: null };
  if (number < 16) return { name: `bright-${NAMES[number - 8]}`, color: null };
  if (number < 232) {
    const level = (/** @type {number} */ part) => (part === 0 ? 0 : 55 + 40 * part);
    const cube = number - 16;
    return { name: null, color: rgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)) };
  }
  const grey = 8 + 10 * (number - 232);
  return { name: null, color: rgb(grey, grey, grey) };
}

/** @param {number[]} parts */
const rgb = (...parts) => `rgb(${parts.map((part) => Math.min(255, Math.max(0, part))).join(" ")})`;

/** @param {Pen} pen @param {string} parameters of an SGR sequence, such as `1;31` or `38;5;208` */
export function applySgr(pen, parameters) {
  const codes = parameters.split(/[;:]/).map((part) => Number(part) || 0);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) Object.assign(pen, newPen());
    else if (WEIGHTS[code]) pen.weights.add(WEIGHTS[code]);
    else if (WEIGHTS_OFF[code]) WEIGHTS_OFF[code].forEach((weight) => pen.weights.delete(weight));
    else if (code === 38 || code === 48) {
      const { color, used } = extended(codes.slice(at + 1));
      at += used;
      if (color) paint(pen, code === 38, color.name, color.color);
    } else if (code >= 30 && code <= 37) paint(pen, true, NAMES[code - 30], null);
    else if (code >= 90 && code <= 97) paint(pen, true, `bright-${NAMES[code - 90]}`, null);
    else if (code >= 40 && code <= 47) paint(pen, false, NAMES[code - 40], null);
    else if (code >= 100 && code <= 107) paint(pen, false, `bright-${NAMES[code - 100]}`, null);
    else if (code === 39) paint(pen, true, null, null);
    else if (code === 49) paint(pen, false, null, null);
  }
}

/** @param {number[]} rest what follows 38 or 48 */
function extended(rest) {
  if (rest[0] === 5 && rest.length >= 2) return { color: paletteColor(Math.min(255, rest[1])), used: 2 };
  if (rest[0] === 2 && rest.length >= 4) return { color: { name: null, color: rgb(...rest.slice(1, 4)) }, used: 4 };
  return { color: null, used: rest.length };
}

/** @param {Pen} pen @param {boolean} text @param {string | null} name @param {string | null} color */
function paint(pen, text, name, color) {
  if (text) [pen.fg, pen.color] = [name, color];
  else [pen.bg, pen.background] = [name, color];
}

/** A character that must not act, as one that can be seen. @param {string} character */
function shown(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/**
 * How long the escape sequence is that `text` holds at `at`: 0 when it is not whole yet, 1 when it is none that ends.
 *
 * @param {string} text
 * @param {number} at of the ESC
 */
function sequenceLength(text, at) {
  const kind = text[at + 1];
  if (kind === undefined) return 0;
  const end = Math.min(text.length, at + SEQUENCE_MAX);
  if (kind === "[") {
    for (let here = at + 2; here < end; here += 1) {
      const code = text.charCodeAt(here);
      if (code >= 0x40 && code <= 0x7e) return here + 1 - at;
      if (code < 0x20 || code > 0x3f) return 1;
    }
    return end - at === SEQUENCE_MAX ? 1 : 0;
  }
  if ("]PX^_".includes(kind)) {
    for (let here = at + 2; here < end; here += 1) {
      if (text[here] === "\x07" || text[here] === "\x9c") return here + 1 - at;
      if (text[here] === "\x1b" && text[here + 1] === "\\") return here + 2 - at;
    }
    return end - at === SEQUENCE_MAX ? 1 : 0;
  }
  if ("()*+-./#% ".includes(kind)) return text[at + 2] === undefined ? 0 : 3;
  return kind >= "0" && kind <= "~" ? 2 : 1;
}

/** One stream's reader: what it could not finish yet, and its pen. */
function createStream() {
  return { rest: "", pen: newPen(), style: /** @type {Style | null} */ (null) };
}

/** Reads chunks in their order, both streams; `rows` grows, and its last row may be replaced while it is open. */
export function createParser() {
  /** @type {Row[]} */
  const rows = [];
  const streams = { 1: createStream(), 2: createStream() };
  /** The row that is being written, or null after a line break. @type {Row | null} */
  let row = null;
  let overwrite = false;

  /** @param {number} seq @param {number} stream @param {Style | null} style @returns {Row} */
  function rowFor(seq, stream, style) {
    if (row?.stream === stream) return row;
    if (row) row.open = false; // the other stream breaks the line
    overwrite = false;
    row = { seq, stream, text: "", marks: style ? [{ at: 0, style }] : null, open: true };
    rows.push(row);
    return row;
  }

  /** @param {string} text without anything special @param {number} seq @param {number} stream */
  function write(text, seq, stream) {
    const { style } = streams[/** @type {1 | 2} */ (stream)];
    for (let at = 0; at < text.length;) {
      const into = rowFor(seq, stream, style);
      if (overwrite) {
        into.text = "";
        into.marks = style ? [{ at: 0, style }] : null;
        overwrite = false;
      }
      const last = into.marks?.at(-1)?.style ?? null;
      if (last !== style) into.marks = [...(into.marks ?? []), { at: into.text.length, style }];
      const part = text.slice(at, at + ROW_MAX - into.text.length);
      into.text += part;
      at += part.length;
      if (into.text.length >= ROW_MAX && at < text.length) row = null;
    }
  }

  /** @param {number} seq @param {number} stream */
  function endLine(seq, stream) {
    const ended = rowFor(seq, stream, null);
    ended.open = false;
    row = null;
    overwrite = false;
  }

  /** @param {string} text @param {number} seq @param {1 | 2} stream */
  function read(text, seq, stream) {
    const state = streams[stream];
    let input = state.rest + text;
    state.rest = "";
    let from = 0;
    SPECIAL.lastIndex = 0;
    for (let found = SPECIAL.exec(input); found; found = SPECIAL.exec(input)) {
      const at = found.index;
      if (at > from) write(input.slice(from, at), seq, stream);
      from = at + 1;
      const character = found[0];
      if (character === "\n") endLine(seq, stream);
      else if (character === "\r") {
        if (from === input.length) {
          state.rest = "\r"; // a line feed may follow in the next chunk
        } else if (input[from] !== "\n") overwrite = row !== null;
      } else if (character === "\b") {
        if (row?.stream === stream) row.text = row.text.slice(0, -1);
      } else if (character.charCodeAt(0) === ESC) {
        const length = sequenceLength(input, at);
        if (length === 0) {
          state.rest = input.slice(at);
          from = input.length;
          break;
        }
        if (length === 1) write(shown(character), seq, stream);
        else if (input[at + 1] === "[" && input[at + length - 1] === "m") {
          applySgr(state.pen, input.slice(at + 2, at + length - 1));
          state.style = styleOf(state.pen);
        }
        from = at + length;
      } else if (character !== "\x07") write(shown(character), seq, stream);
      SPECIAL.lastIndex = from;
    }
    if (from < input.length) write(input.slice(from), seq, stream);
  }

  return { rows, read };
}
