/**
 * The part of an output that is loaded: consecutive chunks and the rows they make.
 *
 * Invariants: `rows` is what `chunks` alone say, so that two ways to the same chunks show the same; a part has at most
 * BYTES_MOST bytes and ROWS_MOST rows after `cut`, however large the output is.
 *
 * @typedef {import("./ansi").Row} Row
 * @typedef {{ seq: number, stream: 1 | 2, bytes: Uint8Array }} Piece
 * @typedef {ReturnType<typeof createPart>} Part
 */
import { createParser } from "./ansi";

export const BYTES_MOST = 4 << 20;
export const BYTES_KEPT = 2 << 20;
export const ROWS_MOST = 300_000;
const ROWS_KEPT = 150_000;

/** @param {import("../api").Chunk} chunk @returns {Piece} */
export function pieceOf({ seq, stream, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return { seq, stream: stream === 2 ? 2 : 1, bytes };
}

/** @param {Uint8Array} bytes without the end of a character whose beginning is in an earlier chunk */
function afterCutCharacter(bytes) {
  let at = 0;
  while (at < 3 && at < bytes.length && (bytes[at] & 0xc0) === 0x80) at += 1;
  return bytes.subarray(at);
}

/** @param {Piece[]} pieces consecutive; they become this part's own */
export function createPart(pieces) {
  const decoders = {
    1: new TextDecoder("utf-8", { ignoreBOM: true }),
    2: new TextDecoder("utf-8", { ignoreBOM: true }),
  };
  const parser = createParser();
  const fresh = { 1: true, 2: true };
  /** @type {Piece[]} */
  const held = [];
  let size = 0;

  /** @param {Piece[]} more */
  function append(more) {
    for (const piece of more) {
      const { seq, stream, bytes } = piece;
      const readable = fresh[stream] && seq > 0 ? afterCutCharacter(bytes) : bytes;
      fresh[stream] = false;
      held.push(piece);
      size += bytes.length;
      parser.read(decoders[stream].decode(readable, { stream: true }), seq, stream);
    }
  }
  append(pieces);
  return { rows: parser.rows, pieces: held, append, bytes: () => size };
}

/** @param {Part} part */
export const tooLarge = (part) => part.bytes() > BYTES_MOST || part.rows.length > ROWS_MOST;

/**
 * The same part without so many pieces at one end that it is small again.
 *
 * @param {Part} part
 * @param {"first" | "last"} end which pieces may go
 */
export function cut(part, end) {
  const share = Math.min(1, ROWS_KEPT / part.rows.length);
  const most = Math.min(BYTES_KEPT, part.bytes() * share);
  const order = end === "first" ? [...part.pieces].reverse() : part.pieces;
  /** @type {Piece[]} */
  const kept = [];
  let size = 0;
  for (const piece of order) {
    if (kept.length > 0 && size + piece.bytes.length > most) break;
    kept.push(piece);
    size += piece.bytes.length;
  }
  return createPart(end === "first" ? kept.reverse() : kept);
}
