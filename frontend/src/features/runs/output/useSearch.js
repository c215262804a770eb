/**
 * Searching an output: at once in what is loaded, and on demand in what is not, range by range.
 *
 * @typedef {import("./search").Match} Match
 */
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { asProblem } from "../../../lib/problem";
import { readOutput } from "../api";
import { createPart, pieceOf } from "./pieces";
import { REQUEST_BYTES } from "./reader";
import { findIn } from "./search";

/**
 * The first chunk at or after `from` in whose neighbourhood `wanted` stands; null when it stands nowhere.
 *
 * @param {{ read: (fromSeq: number) => Promise<import("../api").OutputPart>, from: number, end: number, wanted: string, signal: AbortSignal, onProgress: (seq: number) => void }} how
 * @returns {Promise<number | null>}
 */
export async function findFurther({ read, from, end, wanted, signal, onProgress }) {
  for (let at = from; at < end && !signal.aborted;) {
    const { chunks, next_seq } = await read(at);
    if (next_seq <= at) return null;
    const { rows } = createPart(chunks.map(pieceOf));
    const [match] = findIn(rows, wanted);
    if (match) return rows[match.row].seq;
    // A place may lie across two ranges: the last chunk is read twice, unless it is all there was.
    at = next_seq < end && next_seq - 1 > at ? next_seq - 1 : next_seq;
    onProgress(at);
  }
  return null;
}

/**
 * @param {string} taskId
 * @param {import("./reader").Reader} reader
 * @param {import("./reader").Held} held
 * @param {import("./ansi").Row[]} rows those that are shown
 */
export function useSearch(taskId, reader, held, rows) {
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text);
  const [at, setAt] = useState(0);
  const [further, setFurther] = useState(
    /** @type {{ share: number } | { none: true } | { error: string } | null} */ (null),
  );
  const abort = useRef(/** @type {AbortController | null} */ (null));
  // eslint-disable-next-line react-hooks/exhaustive-deps -- rows grow in place; the version says when
  const matches = useMemo(() => findIn(rows, wanted), [rows, held.version, wanted]);
  const current = matches.length ? Math.min(at, matches.length - 1) : -1;
  useEffect(() => () => abort.current?.abort(), [taskId]);

  function stop() {
    abort.current?.abort();
    setFurther(null);
  }

  async function searchFurther() {
    stop();
    const { signal } = (abort.current = new AbortController());
    const { nextSeq, end } = held;
    setFurther({ share: 0 });
    try {
      const seq = await findFurther({
        read: (from) => readOutput(taskId, from, REQUEST_BYTES, signal),
        from: nextSeq,
        end,
        wanted: text,
        signal,
        onProgress: (seq) => setFurther({ share: (seq - nextSeq) / (end - nextSeq) }),
      });
      if (signal.aborted) return;
      if (seq === null) return setFurther({ none: true });
      setAt(0);
      await reader.toSeq(seq);
      setFurther(null);
    } catch (error) {
      if (!signal.aborted) setFurther({ error: asProblem(error).message });
    }
  }

  return {
    text,
    matches,
    current,
    further,
    stop,
    /** Whether there is more after what is loaded. */
    more: held.nextSeq < held.end,
    /** @param {string} next */
    change(next) {
      stop();
      setAt(0);
      setText(next);
      if (next) reader.pause();
    },
    /** @param {1 | -1} by */
    step(by) {
      reader.pause();
      const count = wanted === text ? matches.length : findIn(rows, text).length;
      if (by === 1 && current >= count - 1 && held.nextSeq < held.end && text) return void searchFurther();
      if (count > 0) setAt((Math.max(0, current) + by + count) % count);
    },
  };
}
