/**
 * The smallest external store: one value, replaced as a whole, that React and plain code can both watch.
 */
import { useSyncExternalStore } from "react";

/**
 * @template T
 * @typedef {{ get: () => T, set: (next: T | ((now: T) => T)) => void, subscribe: (listener: () => void) => () => void }} Atom
 */

/**
 * @template T
 * @param {T} initial
 * @returns {Atom<T>}
 */
export function createAtom(initial) {
  let value = initial;
  /** @type {Set<() => void>} */
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      const replacement = typeof next === "function" ? /** @type {(now: T) => T} */ (next)(value) : next;
      if (Object.is(replacement, value)) return;
      value = replacement;
      listeners.forEach((listener) => listener());
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/**
 * @template T
 * @param {Atom<T>} atom
 * @returns {T}
 */
export function useAtom(atom) {
  return useSyncExternalStore(atom.subscribe, atom.get);
}
