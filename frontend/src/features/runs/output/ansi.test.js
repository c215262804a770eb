/** What a terminal would show, as rows: colours, carriage returns, both streams, and nothing that could act. */
import { describe, expect, it } from "vitest";
import { chance, seeds } from "../../../test-support";
import { ROW_MAX, applySgr, createParser } from "./ansi";

/** @param {(string | [1 | 2, string])[]} parts @returns {import("./ansi").Row[]} */
function rowsOf(...parts) {
  const parser = createParser();
  parts.forEach((part, seq) => {
    const [stream, text] = typeof part === "string" ? [/** @type {1} */ (1), part] : part;
    parser.read(text, seq, stream);
  });
  return parser.rows;
}

/** @param {import("./ansi").Row[]} rows */
const texts = (rows) => rows.map(({ text }) => text);

describe("lines", () => {
  it("end at a line feed, wherever the chunks end", () => {
    const text = "one\ntwo\r\n\nthree";
    const whole = texts(rowsOf(text));
    expect(whole).toEqual(["one", "two", "", "three"]);
    for (let at = 1; at < text.length; at += 1) expect(texts(rowsOf(text.slice(0, at), text.slice(at)))).toEqual(whole);
  });

  it("are written over after a carriage return, as progress bars want it", () => {
    expect(texts(rowsOf("10 %\r50 %", "\r100 %\ndone\n"))).toEqual(["100 %", "done"]);
    expect(texts(rowsOf("kept\r\n"))).toEqual(["kept"]);
    expect(texts(rowsOf("ab\b\bc\n"))).toEqual(["c"]);
  });

  it("are broken when they are longer than a row, and say that they go on", () => {
    const rows = rowsOf("x".repeat(ROW_MAX * 2 + 5) + "\n");
    expect(rows.map(({ text, open }) => [text.length, open])).toEqual([
      [ROW_MAX, true],
      [ROW_MAX, true],
      [5, false],
    ]);
  });

  it("of the two streams never mix", () => {
    const rows = rowsOf([1, "out"], [2, "err\n"], [1, "more\n"]);
    expect(rows.map(({ stream, text }) => [stream, text])).toEqual([
      [1, "out"],
      [2, "err"],
      [1, "more"],
    ]);
    expect(rows.every(({ open }) => !open)).toBe(true);
  });

  it("know the chunk they begin in", () => {
    expect(rowsOf("a", "b\nc", "d\n").map(({ seq, text }) => [seq, text])).toEqual([
      [0, "ab"],
      [1, "cd"],
    ]);
  });
});

describe("styles", () => {
  /** @param {string} text */
  const marks = (text) => rowsOf(text)[0].marks?.map(({ at, style }) => [at, style?.classes ?? "", style?.color]);

  it("begin where the sequence stands, and end with a reset", () => {
    expect(rowsOf("a\x1b[1;31mb\x1b[0mc")[0].text).toBe("abc");
    expect(marks("a\x1b[1;31mb\x1b[0mc")).toEqual([
      [1, "bold fg-red", null],
      [2, "", undefined],
    ]);
  });

  it("go on in the next line and belong to one stream", () => {
    const rows = rowsOf([1, "\x1b[32mgreen\n"], [2, "plain\n"], [1, "still\n"]);
    expect(rows.map((row) => row.marks?.[0].style?.classes)).toEqual(["fg-green", undefined, "fg-green"]);
  });

  it("take the 256 colours and true colours as numbers only", () => {
    expect(marks("\x1b[38;5;9mx")).toEqual([[0, "fg-bright-red", null]]);
    expect(marks("\x1b[38;5;208mx")).toEqual([[0, "", "rgb(255 135 0)"]]);
    expect(marks("\x1b[38;2;1;2;999mx")).toEqual([[0, "", "rgb(1 2 255)"]]);
    expect(marks("\x1b[38;5;244mx")).toEqual([[0, "", "rgb(128 128 128)"]]);
  });

  it("survive nonsense", () => {
    const pen = { weights: new Set(), fg: null, bg: null, color: null, background: null };
    for (const text of ["38", "38;5", "48;2;1", "999", ";;;", "38;7;1"]) applySgr(/** @type {any} */ (pen), text);
    expect(pen).toMatchObject({ fg: null, bg: null, color: null, background: null });
  });

  it("do not care where the chunks end", () => {
    const text = "a\x1b[1;38;5;208mb\x1b]8;;https://x.test\x07link\x1b]8;;\x1b\\c\x1b[0m\r\nd";
    const whole = rowsOf(text);
    expect(texts(whole)).toEqual(["ablinkc", "d"]);
    for (let at = 1; at < text.length; at += 1) {
      const cut = rowsOf(text.slice(0, at), text.slice(at));
      expect(cut.map(({ text, marks, open }) => [text, marks, open])).toEqual(
        whole.map(({ text, marks, open }) => [text, marks, open]),
      );
    }
  });
});

describe("what could act", () => {
  it("is dropped when it is a sequence", () => {
    expect(texts(rowsOf("a\x1b[2J\x1b[10;10Hb\x1b]0;title\x07c\x1bPq\x1b\\d\x1b(Be\x1b7f"))).toEqual(["abcdef"]);
  });

  it("is shown as a sign when it is a control, or turns the reading order", () => {
    expect(texts(rowsOf("a\x00b\x7fc\u202ed\u2066e"))).toEqual(["a␀b␡c<U+202E>d<U+2066>e"]);
  });

  it("swallows little when it never ends", () => {
    const [row] = rowsOf("\x1b]0;" + "x".repeat(5000) + " the end");
    expect(row.text.startsWith("␛]0;xxx")).toBe(true);
    expect(texts(rowsOf("\x1b[" + "1;".repeat(5000))).join("").length).toBeGreaterThan(5000);
  });

  it("keeps every row short and every plain character, whatever comes", () => {
    for (const seed of seeds(100)) {
      const random = chance(seed);
      const alphabet = ["\x1b", "[", "]", "m", "3", ";", "\r", "\n", "\b", "\x07", "a", "é", "\u202e", "<b>"];
      const parts = Array.from({ length: 20 }, () =>
        Array.from({ length: random.integer(12) }, () => random.pick(alphabet)).join(""),
      );
      for (const { text } of rowsOf(...parts)) {
        expect(text.length).toBeLessThanOrEqual(ROW_MAX);
        // eslint-disable-next-line no-control-regex -- these must be gone
        expect(text).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f\u202e]/);
      }
    }
  });
});
