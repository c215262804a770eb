/**
 * The one store of devices and claims. Events wait in a queue and are reduced together, once per frame; whoever watches
 * hears once per frame as well, whatever the network does.
 *
 * @typedef {import("./rows").LiveState} LiveState
 * @typedef {import("./rows").Draft} Draft
 * @typedef {(draft: Draft, before: LiveState) => void} Listener
 */
import { setServerTime } from "../lib/clock";
import { reduce } from "./events";
import { emptyState } from "./rows";

/** A hidden page gets no frames; its counters and notifications must still be right. */
const HIDDEN_FLUSH_MS = 250;

/** @param {() => void} run */
function nextFrame(run) {
  if (document.hidden) return void setTimeout(run, HIDDEN_FLUSH_MS);
  let done = false;
  const once = () => {
    if (done) return;
    done = true;
    run();
  };
  requestAnimationFrame(once);
  setTimeout(once, HIDDEN_FLUSH_MS); // the page may be hidden before the frame comes
}

/** @param {{ schedule?: (run: () => void) => void }} [options] */
export function createStore({ schedule = nextFrame } = {}) {
  let state = emptyState();
  /** @type {[string, any][]} */
  let queue = [];
  let scheduled = false;
  /** @type {Set<Listener>} */
  const listeners = new Set();

  function flush() {
    scheduled = false;
    if (queue.length === 0) return;
    const events = queue;
    queue = [];
    const before = state;
    const draft = reduce(state, events);
    state = draft.state;
    if (state.serverTime && state.serverTime !== before.serverTime) setServerTime(state.serverTime);
    listeners.forEach((listener) => listener(draft, before));
  }

  return {
    get: () => state,
    flush,
    /** @param {string} name @param {any} payload */
    dispatch(name, payload) {
      queue.push([name, payload]);
      if (scheduled) return;
      scheduled = true;
      schedule(flush);
    },
    /** Forgets everything: another user signed in. */
    reset() {
      queue = [];
      const before = state;
      state = emptyState();
      const draft = {
        state,
        touched: /** @type {"all"} */ ("all"),
        transitions: [],
        ended: [],
        turned: [],
        silent: true,
        ownRows: false,
      };
      listeners.forEach((listener) => listener(draft, before));
    },
    /** The connection ended: half a snapshot is worth nothing, and neither old removals nor the reason bind the next. */
    dropConnection() {
      flush();
      state = { ...state, staging: null, tombstones: new Map(), ended: null };
    },
    /** Nobody looks at this run any longer. @param {string} runId */
    forgetTasks(runId) {
      flush();
      if (!state.tasks.has(runId)) return;
      state = { ...state, tasks: new Map([...state.tasks].filter(([id]) => id !== runId)) };
    },
    /** Nor at this deployment. @param {string} deploymentId */
    forgetTargets(deploymentId) {
      flush();
      if (!state.targets.has(deploymentId)) return;
      state = { ...state, targets: new Map([...state.targets].filter(([id]) => id !== deploymentId)) };
    },
    /** @param {Listener} listener */
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** @typedef {ReturnType<typeof createStore>} Store */
