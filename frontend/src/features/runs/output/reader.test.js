/** An output of any size: what is held, what is read, and that the same chunks always show the same. */
import { Buffer } from "node:buffer";
import { describe, expect, it, vi } from "vitest";
import { BYTES_MOST, createPart, cut, pieceOf } from "./pieces";
import { createReader } from "./reader";
import { findIn, textOf } from "./search";
import { spansOf } from "./spans";
import { findFurther } from "./useSearch";

/** @param {string} text */
const base64 = (text) => Buffer.from(text, "utf8").toString("base64");

/** A server that has `chunks`. @param {string[]} chunks */
function serverWith(chunks) {
  const read = vi.fn(async (/** @type {number} */ fromSeq, /** @type {number} */ limitBytes) => {
    const parts = [];
    let size = 0;
    for (let seq = fromSeq; seq < chunks.length; seq += 1) {
      if (parts.length > 0 && size + chunks[seq].length > limitBytes) break;
      size += chunks[seq].length;
      parts.push({ seq, stream: 1, data: base64(chunks[seq]) });
    }
    return { chunks: parts, next_seq: fromSeq + parts.length, complete: false, gone: false, lost_bytes: 0 };
  });
  const reader = createReader({ read });
  const bytes = () => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return { read, reader, chunks, tell: () => reader.known(chunks.length, bytes()) };
}

/** @param {import("./reader").Reader} reader */
const settled = (reader) => vi.waitFor(() => expect(reader.get().loading).toBeNull());

/** Chunks of 32 KiB whose lines name them. @param {number} count */
const large = (count) =>
  Array.from({ length: count }, (_, seq) => `chunk ${String(seq).padStart(5, "0")} ${"x".repeat(49)}\n`.repeat(512));

describe("a small output", () => {
  it("is read whole", async () => {
    const { reader, tell } = serverWith(["one\ntw", "o\nthree"]);
    tell();
    await settled(reader);
    expect(textOf(reader.get().rows)).toBe("one\ntwo\nthree");
    expect(reader.get()).toMatchObject({ fromSeq: 0, nextSeq: 2, end: 2, error: null });
  });

  it("grows while it follows, one request at a time", async () => {
    const { reader, tell, chunks, read } = serverWith(["a\n"]);
    tell();
    reader.toEnd();
    await settled(reader);
    for (const more of ["b\n", "c", "d\n"]) {
      chunks.push(more);
      tell();
    }
    await settled(reader);
    await vi.waitFor(() => expect(textOf(reader.get().rows)).toBe("a\nb\ncd"));
    expect(read.mock.calls.length).toBeLessThanOrEqual(4);
  });

  it("says why it cannot be read, and goes on after another try", async () => {
    const { reader, tell, read } = serverWith(["a\n"]);
    read.mockRejectedValueOnce(new Error("no"));
    tell();
    await settled(reader);
    expect(reader.get().error).toBeInstanceOf(Error);
    reader.retry();
    await settled(reader);
    await vi.waitFor(() => expect(textOf(reader.get().rows)).toBe("a"));
  });

  it("asks no more for what the server does not have", async () => {
    const { reader, read } = serverWith([]);
    reader.known(5, 100);
    await settled(reader);
    expect(read).toHaveBeenCalledTimes(1);
  });
});

describe("a huge output", () => {
  it("is held in part, and the part moves with the reader", async () => {
    const { reader, tell, chunks } = serverWith(large(400)); // 13 MB
    tell();
    await settled(reader);
    await vi.waitFor(() => expect(reader.get().bytes).toBeGreaterThanOrEqual(2 << 20));
    expect(reader.get().nextSeq).toBeLessThan(100);

    reader.toEnd();
    await vi.waitFor(() => expect(reader.get().nextSeq).toBe(chunks.length));
    await settled(reader);
    expect(reader.get().bytes).toBeLessThanOrEqual(BYTES_MOST);
    expect(reader.get().rows.at(-1)?.text).toMatch(/^chunk 00399/);

    const { fromSeq } = reader.get();
    await reader.earlier();
    expect(reader.get().fromSeq).toBeLessThan(fromSeq);
    expect(reader.get().following).toBe(false);
    expect(reader.get().rows[0].text).toMatch(new RegExp(`^chunk 00${reader.get().fromSeq}`));

    await reader.toSeq(200);
    expect(reader.get().rows[0].text).toMatch(/^chunk 00200/);
    await reader.toStart();
    expect(reader.get().rows[0].text).toMatch(/^chunk 00000/);
  });

  it("that comes faster than it is read is followed at its end", async () => {
    const all = large(400);
    const { reader, tell, chunks, read } = serverWith(all.slice(0, 2));
    reader.follow(false);
    tell();
    await settled(reader);
    chunks.push(...all.slice(2));
    for (let told = 0; told < 5; told += 1) tell(); // while it reads, more is told of: that ends nothing
    await vi.waitFor(() => expect(reader.get().nextSeq).toBe(all.length));
    await settled(reader);
    expect(reader.get().rows.at(-1)?.text).toMatch(/^chunk 00399/);
    expect(reader.get()).toMatchObject({ following: true, error: null });
    expect(read.mock.calls.length).toBeLessThan(10);
  });

  it("never holds more than it may, and nothing is missing in between", async () => {
    const { reader, tell, chunks } = serverWith(large(400));
    tell();
    await settled(reader);
    while (reader.get().nextSeq < chunks.length) {
      await reader.later();
      await settled(reader);
      const { bytes, rows } = reader.get();
      expect(bytes).toBeLessThanOrEqual(BYTES_MOST);
      const numbers = rows.map(({ text }) => Number(text.slice(6, 11)));
      expect(numbers.every((number, index) => index === 0 || number - numbers[index - 1] <= 1)).toBe(true);
    }
  });
});

describe("a part", () => {
  it("begins with a whole character", () => {
    const bytes = Buffer.from("é\n");
    const piece = pieceOf({ seq: 7, stream: 1, data: bytes.subarray(1).toString("base64") });
    expect(createPart([piece]).rows.map(({ text }) => text)).toEqual([""]);
  });

  it("joins a character that two chunks share, and shows bytes that are no text", () => {
    const bytes = Buffer.from("é");
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1), Buffer.from([0xff, 0x41])].map((data, seq) =>
      pieceOf({ seq, stream: 1, data: data.toString("base64") }),
    );
    expect(createPart(pieces).rows[0].text).toBe("é\ufffdA");
  });

  it("says after a cut what its chunks alone say", () => {
    const pieces = large(200).map((text, seq) => pieceOf({ seq, stream: 1, data: base64(text) }));
    const part = createPart(pieces);
    for (const end of /** @type {const} */ (["first", "last"])) {
      const small = cut(part, end);
      expect(small.rows).toEqual(createPart(small.pieces).rows);
      expect(small.pieces.at(end === "first" ? -1 : 0)).toBe(part.pieces.at(end === "first" ? -1 : 0));
    }
  });
});

describe("searching", () => {
  const rows = createPart([
    pieceOf({ seq: 0, stream: 1, data: base64(`Error\nok error\n${"x".repeat(3998)}error\n`) }),
  ]).rows;

  it("finds every place, whatever its case, also across a broken line", () => {
    expect(findIn(rows, "ERROR")).toEqual([
      { row: 0, at: 0, length: 5 },
      { row: 1, at: 3, length: 5 },
      { row: 2, at: 3998, length: 5 },
    ]);
    expect(findIn(rows, "")).toEqual([]);
  });

  it("marks what it found without losing the colours", () => {
    const red = { classes: "fg-red", color: null, background: null };
    const spans = spansOf("abcdef", [{ at: 2, style: red }], [{ at: 1, length: 3, current: true }]);
    expect(spans).toEqual([
      { text: "a", style: null, found: "no" },
      { text: "b", style: null, found: "current" },
      { text: "cd", style: red, found: "current" },
      { text: "ef", style: red, found: "no" },
    ]);
    expect(spansOf("", null, [])).toEqual([]);
  });
});

describe("searching on, beyond what is loaded", () => {
  /** @param {string[]} chunks @param {string} wanted @param {AbortSignal} [signal] */
  function search(chunks, wanted, signal = new AbortController().signal) {
    const { read } = serverWith(chunks);
    const onProgress = vi.fn();
    const found = findFurther({
      read: (from) => read(from, 64),
      from: 0,
      end: chunks.length,
      wanted,
      signal,
      onProgress,
    });
    return { found, read, onProgress };
  }
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}\n`);

  it("finds the chunk, range by range", async () => {
    const { found, onProgress } = search(lines, "LINE 73");
    await expect(found).resolves.toBe(73);
    expect(onProgress.mock.calls.length).toBeGreaterThan(5);
  });

  it("finds what lies across two ranges", async () => {
    const chunks = ["x".repeat(60), "nee", "dle\n", "y".repeat(60)];
    await expect(search(chunks, "needle").found).resolves.not.toBeNull();
  });

  it("ends where there is nothing, and when it is stopped", async () => {
    await expect(search(lines, "nowhere").found).resolves.toBeNull();
    const stopped = new AbortController();
    stopped.abort();
    const { found, read } = search(lines, "line 73", stopped.signal);
    await expect(found).resolves.toBeNull();
    expect(read).not.toHaveBeenCalled();
  });
});
