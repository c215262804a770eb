/**
 * Reads a task's output in ranges and holds a part of it, so that an output of any size can be looked at.
 *
 * Invariants: one request at a time; what is held is consecutive; while it follows, the newest end is held; while somebody
 * reads further up, nothing that is on the screen is dropped.
 *
 * @typedef {object} Held
 * @property {import("./ansi").Row[]} rows
 * @property {number} version grows whenever `rows` says something else
 * @property {number} fromSeq the first chunk that is held
 * @property {number} nextSeq the first chunk after those that are held
 * @property {number} end how many chunks there are to read now
 * @property {number} bytes held
 * @property {boolean} following
 * @property {boolean} gone the server has deleted some of it
 * @property {"earlier" | "later" | "jump" | null} loading
 * @property {unknown} error
 */
import { createAtom } from "../../../lib/atom";
import { BYTES_KEPT, BYTES_MOST, createPart, cut, pieceOf, tooLarge } from "./pieces";

export const REQUEST_BYTES = 262_144;

/**
 * @param {{ read: (fromSeq: number, limitBytes: number, signal: AbortSignal) => Promise<import("../api").OutputPart> }} deps
 */
export function createReader({ read }) {
  let part = createPart([]);
  let version = 0;
  let totalBytes = 0;
  let abort = new AbortController();
  let busy = false;
  let stopped = false;
  let nearEnd = false;
  /** @type {import("../../../lib/atom").Atom<Held>} */
  const atom = createAtom(
    /** @type {Held} */ ({
      rows: [],
      version,
      fromSeq: 0,
      nextSeq: 0,
      end: 0,
      bytes: 0,
      following: false,
      gone: false,
      loading: null,
      error: null,
    }),
  );

  /** @param {Partial<Held>} change */
  const tell = (change) => atom.set((now) => ({ ...now, ...change }));

  /** @param {import("./pieces").Part} next @param {Partial<Held>} change */
  function hold(next, change) {
    part = next;
    version += 1;
    tell({ rows: part.rows, version, bytes: part.bytes(), ...change });
  }

  /** @param {number} wanted bytes @returns {number} about so many chunks */
  function chunksFor(wanted) {
    const { end } = atom.get();
    const average = Math.max(1, totalBytes / Math.max(1, end));
    return Math.max(1, Math.ceil(wanted / average));
  }

  /** @param {number} fromSeq @param {AbortSignal} signal */
  async function ask(fromSeq, signal) {
    const answer = await read(fromSeq, REQUEST_BYTES, signal);
    if (answer.gone && !atom.get().gone) tell({ gone: true });
    return answer;
  }

  /** Does `work` unless something else is being done; a jump ends what was. @param {Held["loading"]} loading @param {(signal: AbortSignal) => Promise<void>} work */
  async function alone(loading, work) {
    if (stopped || (busy && loading !== "jump")) return;
    abort.abort();
    abort = new AbortController();
    const { signal } = abort;
    busy = true;
    tell({ loading, error: null });
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) tell({ error });
    }
    if (signal.aborted) return;
    busy = false;
    tell({ loading: null });
    pump();
  }

  /**
   * What may be read without being asked: all that is new while it follows, else until enough is held. What comes faster
   * than it is read is passed over: it can still be gone back to.
   */
  function pump() {
    const { following, nextSeq, end, error } = atom.get();
    if (busy || error || nextSeq >= end) return;
    if (following && end - nextSeq > chunksFor(BYTES_MOST)) void jump(nearTheEnd(), true);
    else if (following || part.bytes() < BYTES_KEPT) void later();
  }

  const nearTheEnd = () => Math.max(0, atom.get().end - chunksFor(BYTES_KEPT / 2));

  function later() {
    return alone("later", async (signal) => {
      const { nextSeq } = atom.get();
      const { chunks, next_seq } = await ask(nextSeq, signal);
      if (signal.aborted) return;
      if (next_seq <= nextSeq) return tell({ end: nextSeq }); // it was told of, and is not there: ask no more
      part.append(chunks.map(pieceOf));
      const next = tooLarge(part) ? cut(part, "first") : part;
      hold(next, { fromSeq: next.pieces[0]?.seq ?? 0, nextSeq: next_seq });
    });
  }

  function earlier() {
    return alone("earlier", async (signal) => {
      const { fromSeq } = atom.get();
      const start = Math.max(0, fromSeq - chunksFor(REQUEST_BYTES));
      const pieces = await range(start, fromSeq, signal);
      if (signal.aborted) return;
      const whole = createPart([...pieces, ...part.pieces]);
      const next = tooLarge(whole) ? cut(whole, "last") : whole;
      hold(next, { fromSeq: start, nextSeq: (next.pieces.at(-1)?.seq ?? start - 1) + 1, following: false });
    });
  }

  /** @param {number} from @param {number} to @param {AbortSignal} signal every chunk in [from, to) */
  async function range(from, to, signal) {
    /** @type {import("./pieces").Piece[]} */
    const pieces = [];
    for (let at = from; at < to && !signal.aborted;) {
      const { chunks, next_seq } = await ask(at, signal);
      if (next_seq <= at) break;
      pieces.push(...chunks.filter(({ seq }) => seq < to).map(pieceOf));
      at = next_seq;
    }
    return pieces;
  }

  /** Holds what stands around chunk `seq` instead. @param {number} seq @param {boolean} following */
  function jump(seq, following) {
    tell({ following });
    return alone("jump", async (signal) => {
      const { end } = atom.get();
      const start = Math.min(Math.max(0, seq), Math.max(0, end - 1));
      const { chunks, next_seq } = await ask(start, signal);
      if (signal.aborted) return;
      hold(createPart(chunks.map(pieceOf)), { fromSeq: start, nextSeq: Math.max(start, next_seq) });
    });
  }

  return {
    get: atom.get,
    subscribe: atom.subscribe,
    set: atom.set,
    later,
    earlier,
    /** What the task says there is. @param {number} end chunks @param {number} bytes */
    known(end, bytes) {
      totalBytes = bytes;
      if (end <= atom.get().end) return;
      tell({ end });
      if (nearEnd) {
        nearEnd = false;
        void jump(nearTheEnd(), true);
      } else pump();
    },
    /** From the first on the newest output is shown. @param {boolean} only whether the beginning is not even read */
    follow(only) {
      nearEnd = only;
      tell({ following: true });
    },
    /** It may be started again after a stop, with what it holds. */
    start() {
      stopped = false;
      pump();
    },
    toStart: () => jump(0, false),
    /** @param {number} seq */
    toSeq: (seq) => jump(seq, false),
    /** Shows the newest output and stays there. */
    toEnd() {
      const { nextSeq, end } = atom.get();
      if (nextSeq >= end - 1 || end - nextSeq <= chunksFor(REQUEST_BYTES)) {
        tell({ following: true });
        return pump();
      }
      return jump(nearTheEnd(), true);
    },
    /** Somebody reads further up. */
    pause: () => tell({ following: false }),
    retry() {
      tell({ error: null });
      pump();
    },
    stop() {
      stopped = true;
      busy = false;
      abort.abort();
      tell({ loading: null });
    },
  };
}

/** @typedef {ReturnType<typeof createReader>} Reader */
