/**
 * One file on its way to the server: hashed, then sent in pieces from wherever the server has it. Invariants: at most one
 * attempt runs; what the server has is never sent again; a failure that may pass is tried again by itself, and a pause
 * ends whatever is on its way.
 *
 * @typedef {"hashing" | "sending" | "waiting" | "paused" | "failed" | "done"} Phase
 * @typedef {object} Progress
 * @property {Phase} phase
 * @property {"hashing" | "sending"} part what is being done, or was when it stopped
 * @property {number} done bytes of that part
 * @property {number} total bytes of the file
 * @property {number} bytesPerS how fast it is sent
 * @property {number | null} retryAt when the next attempt starts (this browser's clock, ms)
 * @property {string} sha256 empty until it is known
 * @property {unknown} error why it waits or failed
 *
 * @typedef {{ id: string, offset: number, complete: boolean, pieceMost: number }} Session
 * @typedef {object} Transport
 * @property {(file: { name: string, size: number, sha256: string }, signal: AbortSignal) => Promise<Session>} begin
 * @property {(id: string, signal: AbortSignal) => Promise<Session>} look
 * @property {(id: string, offset: number, piece: Blob, signal: AbortSignal) => Promise<Session>} send
 * @property {(id: string) => Promise<unknown>} drop
 */
import { createAtom } from "../../../lib/atom";
import { asProblem } from "../../../lib/problem";

const PIECE_LEAST = 256 << 10;
const PIECE_FIRST = 1 << 20;
const PIECE_MOST = 8 << 20;
/** Pieces grow until one takes so long: the bar then moves about once a second. */
const PIECE_TAKES_MS = 1000;
const RETRY_FIRST_MS = 1000;
const RETRY_MOST_MS = 30_000;
/** In a row, without a byte in between; after them somebody has to say that it goes on. */
const ATTEMPTS = 8;
const SMOOTHING = 0.3;

/** Whether the same request may succeed later. @param {import("../../../lib/problem").Problem} problem */
const passes = ({ status }) => status === 0 || status === 409 || status === 429 || status >= 502;

/**
 * @param {{ file: File, transport: Transport, hash: typeof import("./hashFile").hashFile, onDone?: (sha256: string) => void, nowMs?: () => number }} deps
 */
export function createUpload({ file, transport, hash, onDone, nowMs = Date.now }) {
  /** @type {import("../../../lib/atom").Atom<Progress>} */
  const atom = createAtom(
    /** @type {Progress} */ ({
      phase: "paused",
      part: "hashing",
      done: 0,
      total: file.size,
      bytesPerS: 0,
      retryAt: null,
      sha256: "",
      error: null,
    }),
  );
  /** @type {AbortController | null} */
  let running = null;
  /** @type {Session | null} */
  let session = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let pieceBytes = PIECE_FIRST;
  let failures = 0;

  /** @param {Partial<Progress>} change */
  const put = (change) => atom.set((now) => ({ ...now, ...change }));

  /** @param {AbortSignal} signal */
  async function attempt(signal) {
    let { sha256 } = atom.get();
    if (!sha256) {
      put({ phase: "hashing", part: "hashing", done: 0 });
      sha256 = await hash(file, (done) => put({ done }), signal);
      put({ sha256 });
    }
    put({ phase: "sending", part: "sending", done: session?.offset ?? 0 });
    session = session
      ? await transport.look(session.id, signal)
      : await transport.begin({ name: file.name, size: file.size, sha256 }, signal);
    while (!session.complete) {
      signal.throwIfAborted();
      put({ done: session.offset });
      session = await sendPiece(session, signal);
      failures = 0;
    }
    put({ phase: "done", done: file.size });
    onDone?.(sha256);
  }

  /** @param {Session} from @param {AbortSignal} signal */
  async function sendPiece({ id, offset, pieceMost }, signal) {
    const piece = file.slice(offset, offset + Math.min(pieceBytes, pieceMost));
    const begun = nowMs();
    const next = await transport.send(id, offset, piece, signal);
    const tookMs = Math.max(1, nowMs() - begun);
    if (tookMs < PIECE_TAKES_MS / 2) pieceBytes = Math.min(PIECE_MOST, pieceBytes * 2);
    else if (tookMs > PIECE_TAKES_MS * 2) pieceBytes = Math.max(PIECE_LEAST, pieceBytes / 2);
    const fresh = (piece.size * 1000) / tookMs;
    const { bytesPerS } = atom.get();
    put({ bytesPerS: bytesPerS ? bytesPerS + SMOOTHING * (fresh - bytesPerS) : fresh });
    return next;
  }

  /** @param {unknown} error */
  function fail(error) {
    const problem = asProblem(error);
    if (problem.status === 404 && session)
      session = null; // it was given up there: begun anew
    else if (!passes(problem)) return put({ phase: "failed", error, bytesPerS: 0 });
    failures += 1;
    if (failures > ATTEMPTS) return put({ phase: "failed", error, bytesPerS: 0 });
    const delay = (problem.retryAfterS ?? 0) * 1000 || Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** (failures - 1));
    put({ phase: "waiting", error, retryAt: nowMs() + delay, bytesPerS: 0 });
    timer = setTimeout(run, delay);
  }

  function run() {
    clearTimeout(timer);
    if (running || atom.get().phase === "done") return;
    const controller = new AbortController();
    running = controller;
    put({ error: null, retryAt: null });
    attempt(controller.signal).then(
      () => (running = null),
      (error) => {
        if (running !== controller) return; // a pause ended it
        running = null;
        fail(error);
      },
    );
  }

  function stop() {
    clearTimeout(timer);
    const controller = running;
    running = null;
    controller?.abort();
  }

  return {
    get: atom.get,
    subscribe: atom.subscribe,
    file,
    /** Begins, or goes on after a pause or a failure. */
    start() {
      failures = 0;
      run();
    },
    pause() {
      stop();
      if (atom.get().phase !== "done") put({ phase: "paused", bytesPerS: 0, retryAt: null });
    },
    /** Ends it for good; the server forgets its part. */
    drop() {
      stop();
      const { phase } = atom.get();
      if (session && phase !== "done") void transport.drop(session.id).catch(() => {}); // it is forgotten there in time
      session = null;
    },
  };
}

/** @typedef {ReturnType<typeof createUpload>} Upload */
