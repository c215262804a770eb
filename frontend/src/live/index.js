/**
 * The live side of this page, made once: socket → store → notices. Everything else asks it through the hooks below.
 */
import { useCallback, useSyncExternalStore } from "react";
import { createAtom, useAtom } from "../lib/atom";
import { tellOfDeployments } from "./deploymentNotices";
import { createLink } from "./link";
import { log } from "./log";
import { createNotices } from "./notices";
import { createOptimistic } from "./optimistic";
import { tellOfRuns } from "./runNotices";
import { createStore } from "./store";

export const store = createStore();
export const notices = createNotices({ store, log });
export const optimistic = createOptimistic();

const signedOut = createAtom(() => {});
export const link = createLink({ store, onSignedOut: () => signedOut.get()() });

/** Who is signed in. @type {import("../lib/atom").Atom<import("./runNotices").Viewer | null>} */
export const viewer = createAtom(/** @type {import("./runNotices").Viewer | null} */ (null));
tellOfRuns({ store, notices, viewer: viewer.get, watches: link.watches });
tellOfDeployments({ store, notices, viewer: viewer.get, watches: link.watches, watched: link.watched });

/** @param {() => void} listener called when the server says over the socket that nobody is signed in */
export const onLinkSignedOut = (listener) => signedOut.set(() => listener);

/** @type {Set<() => void>} */
const forgetful = new Set();

/** @param {() => void} forget called when the user leaves: whatever else was typed or seen goes too */
export const onForget = (forget) => void forgetful.add(forget);

/** Ends the link and forgets all that this user saw. */
export function forgetEverything() {
  forgetful.forEach((forget) => forget());
  link.stop();
  store.reset();
  notices.clear();
  optimistic.clear();
  viewer.set(null);
}

/**
 * Part of the live state; re-renders only when that part is another one.
 *
 * @template T
 * @param {(state: import("./rows").LiveState) => T} select must return the same object for the same state
 * @returns {T}
 */
export function useLive(select) {
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

/** A device as the store has it, with what this user changed meanwhile on top. @param {number} id */
export function useDevice(id) {
  const device = useSyncExternalStore(
    store.subscribe,
    useCallback(() => store.get().devices.get(id), [id]),
  );
  const patch = useSyncExternalStore(
    optimistic.subscribe,
    useCallback(() => optimistic.get().get(id), [id]),
  );
  return device && patch ? { ...device, ...patch } : device;
}

/** @param {number} id whether a change of this user's is still unconfirmed */
export const usePending = (id) => useSyncExternalStore(optimistic.subscribe, () => optimistic.get().has(id));

export const useLink = () => useAtom(link);
export const useNotices = () => useAtom(notices);

/** Nothing is known before the first snapshot is whole. */
export const useLoaded = () => useLive((state) => state.snapshots > 0);

const LOST = "The link to the server is lost, so this may no longer be true. It comes back by itself.";

/** Why actions are off, or null when they are on. */
export function useActionsOff() {
  const { state } = useLink();
  return state === "live" ? null : LOST;
}
