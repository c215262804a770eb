/** Settings of this browser. Storage may be full, forbidden or hold nonsense; then the fallback stands. */
import { createAtom } from "./atom";

/**
 * @template T
 * @param {string} key
 * @param {T} fallback
 * @param {(value: unknown) => value is T} valid
 * @returns {T}
 */
export function load(key, fallback, valid) {
  try {
    const text = localStorage.getItem(key);
    if (text === null) return fallback;
    const value = JSON.parse(text);
    return valid(value) ? value : fallback;
  } catch {
    return fallback;
  }
}

/** @param {string} key @param {unknown} value */
export function save(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // A full or forbidden storage costs the memory of a setting, nothing more.
  }
}

/**
 * An atom that outlives the page.
 *
 * @template T
 * @param {string} key
 * @param {T} fallback
 * @param {(value: unknown) => value is T} valid
 * @returns {import("./atom").Atom<T>}
 */
export function createStoredAtom(key, fallback, valid) {
  const atom = createAtom(load(key, fallback, valid));
  atom.subscribe(() => save(key, atom.get()));
  return atom;
}
