/**
 * The one socket. It feeds the store and says how the link is; it reconnects by itself, with a delay people can see.
 *
 * @typedef {object} Link
 * @property {import("./linkStates").LinkState} state
 * @property {number} attempt failures in a row
 * @property {number | null} retryAt when the next attempt starts (this browser's clock, ms)
 * @property {number | null} staleSince since when what is shown may be wrong (this browser's clock, ms)
 * @property {string} reason why the link was lost, for people
 */
import { io } from "socket.io-client";
import { createAtom } from "../lib/atom";
import { EVENTS, UNWATCH_DEPLOYMENT, UNWATCH_RUN, WATCH, WATCH_DEPLOYMENT, WATCH_RUN } from "./events";
import { advance, retryDelayMs } from "./linkStates";

const CONNECT_TIMEOUT_MS = 10_000;
const SYNC_TIMEOUT_MS = 30_000;

/** @type {Link} */
const IDLE = { state: "idle", attempt: 0, retryAt: null, staleSince: null, reason: "" };

/** What is told piece by piece only to whoever asks for it. */
const FOLLOWED = {
  run: { watch: WATCH_RUN, unwatch: UNWATCH_RUN, named: (/** @type {string} */ id) => ({ run_id: id }) },
  deployment: {
    watch: WATCH_DEPLOYMENT,
    unwatch: UNWATCH_DEPLOYMENT,
    named: (/** @type {string} */ id) => ({ deployment_id: id }),
  },
};

const openSocket = () =>
  io({
    path: "/ui/socket.io/",
    transports: ["websocket"],
    withCredentials: true,
    auth: { batch: true },
    reconnection: false,
    autoConnect: false,
    timeout: CONNECT_TIMEOUT_MS,
  });

/**
 * @param {{ store: import("./store").Store, onSignedOut: () => void, open?: () => import("socket.io-client").Socket, random?: () => number }} deps
 */
export function createLink({ store, onSignedOut, open = openSocket, random = Math.random }) {
  /** @type {import("../lib/atom").Atom<Link>} */
  const atom = createAtom(IDLE);
  /** @type {import("socket.io-client").Socket | null} */
  let socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** Who watches what: its id → what each wants to hear. @type {Map<string, { kind: keyof typeof FOLLOWED, begun: Set<() => void> }>} */
  const watched = new Map();
  /** What was watched since the link was started. @type {Set<string>} */
  const ever = new Set();

  /** @param {import("./linkStates").LinkEvent} event @param {Partial<Link>} [more] @returns {boolean} whether it meant something */
  function happen(event, more = {}) {
    const before = atom.get();
    const state = advance(before.state, event);
    if (state === before.state) return false;
    clearTimeout(timer);
    atom.set({ ...before, ...more, state });
    return true;
  }

  /** @param {string} reason */
  function lose(reason) {
    const { ended } = store.get();
    store.dropConnection();
    if (ended?.code === "signed_out" || reason === "unauthenticated") return onSignedOut();
    const { attempt, staleSince, state } = atom.get();
    const delay = Math.max(retryDelayMs(attempt, random()), (ended?.retry_after_s ?? 0) * 1000);
    const lost = happen("closed", {
      attempt: attempt + 1,
      retryAt: Date.now() + delay,
      staleSince: staleSince ?? (state === "live" ? Date.now() : null),
      reason: ended?.message || reason,
    });
    if (!lost) return;
    socket?.disconnect();
    timer = setTimeout(retry, delay);
  }

  function retry() {
    if (!happen("retry", { retryAt: null })) return;
    socket?.connect();
  }

  function retryIfVisible() {
    if (!document.hidden) retry();
  }

  /** From the answer on nothing of it is missed; a connection that ends first begins anew. @param {keyof typeof FOLLOWED} kind @param {string} id */
  function watch(kind, id) {
    const { watch, named } = FOLLOWED[kind];
    socket?.emit(watch, named(id), () => watched.get(id)?.begun.forEach((begun) => begun()));
  }

  /**
   * Hears of every part of a run or deployment until the returned function is called, over as many connections as it
   * takes.
   *
   * @param {keyof typeof FOLLOWED} kind
   * @param {string} id
   * @param {() => void} begun called each time the server tells from now on: what was read before may be old
   * @param {(id: string) => void} forget
   */
  function follow(kind, id, begun, forget) {
    const others = watched.get(id);
    watched.set(id, { kind, begun: new Set(others?.begun).add(begun) });
    ever.add(id);
    if (!others && socket?.connected) watch(kind, id);
    return () => {
      const left = new Set(watched.get(id)?.begun);
      left.delete(begun);
      if (left.size > 0) return void watched.set(id, { kind, begun: left });
      watched.delete(id);
      const { unwatch, named } = FOLLOWED[kind];
      if (socket?.connected) socket.emit(unwatch, named(id));
      forget(id);
    };
  }

  /** @param {import("socket.io-client").Socket} opened */
  function listen(opened) {
    for (const name of Object.keys(EVENTS)) opened.on(name, (payload) => store.dispatch(name, payload));
    opened.on("connect", () => {
      if (!happen("connected")) return;
      timer = setTimeout(() => lose("The list of devices did not arrive in time."), SYNC_TIMEOUT_MS);
      opened.emit(WATCH, {});
      for (const [id, { kind }] of watched) watch(kind, id);
    });
    opened.on("connect_error", (error) => lose(refusals[error.message] ?? "The server cannot be reached."));
    opened.on("disconnect", () => {
      store.flush();
      lose("The connection to the server closed.");
    });
  }

  store.subscribe(({ state }, before) => {
    if (state.snapshots > before.snapshots)
      happen("synced", { attempt: 0, retryAt: null, staleSince: null, reason: "" });
  });

  return {
    get: atom.get,
    subscribe: atom.subscribe,
    set: atom.set,
    /** @param {string} id @param {() => void} begun */
    watchRun: (id, begun) => follow("run", id, begun, store.forgetTasks),
    /** @param {string} id @param {() => void} begun */
    watchDeployment: (id, begun) => follow("deployment", id, begun, store.forgetTargets),
    /** @param {string} id whether this page hears of every part of this run or deployment */
    watches: (id) => watched.has(id),
    /** @param {string} id whether it ever did, for whoever is signed in */
    watched: (id) => ever.has(id),
    /** Attempt at once. */
    retry,
    start() {
      if (!happen("start", { ...IDLE })) return;
      socket = open();
      listen(socket);
      socket.connect();
      window.addEventListener("online", retry);
      document.addEventListener("visibilitychange", retryIfVisible);
    },
    stop() {
      ever.clear();
      if (!happen("stop", { ...IDLE })) return;
      socket?.off();
      socket?.disconnect();
      socket = null;
      window.removeEventListener("online", retry);
      document.removeEventListener("visibilitychange", retryIfVisible);
    },
  };
}

/** @type {Record<string, string>} what the server says when it refuses a connection → what is shown or done */
const refusals = {
  unauthenticated: "unauthenticated",
  forbidden_origin:
    "The server does not accept this address for its dashboard. Open it under one of its public addresses.",
};
