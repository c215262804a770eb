/** What tests share: the wire's examples, devices made from them, and chance that can be repeated. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** @typedef {import("./live/rows").Device} Device */

export const SOURCE = import.meta.dirname;
const GOLDEN = join(SOURCE, "../../protocol/tests/golden");

/** @param {string} name @returns {any} a file that the protocol's own tests hold to its structs */
export const golden = (name) => JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), "utf8"));

/** @type {Device} */
const EXAMPLE = golden("snapshot_devices").devices[0];

/** @param {Partial<Device>} [fields] @returns {Device} */
export const device = (fields = {}) => ({ ...EXAMPLE, facts: {}, tags: {}, ...fields });

/** @param {Partial<Device>[]} rows */
export const deviceMap = (...rows) => new Map(rows.map((fields) => device(fields)).map((row) => [row.id, row]));

/** An ISO time, `seconds` after an instant that all tests share. @param {number} seconds */
export const at = (seconds) => new Date(Date.UTC(2026, 2, 1) + seconds * 1000).toISOString();

/**
 * Mulberry32: the same numbers for the same seed.
 *
 * @param {number} seed
 */
export function chance(seed) {
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  /** @param {number} below */
  const integer = (below) => Math.floor(random() * below);
  return {
    random,
    integer,
    /** @param {number} probability */
    happens: (probability) => random() < probability,
    /** @template T @param {readonly T[]} from @returns {T} */
    pick: (from) => from[integer(from.length)],
    /** @template T @param {readonly T[]} list @returns {T[]} the same things in another order */
    shuffled(list) {
      const mixed = [...list];
      for (let last = mixed.length - 1; last > 0; last -= 1) {
        const other = integer(last + 1);
        [mixed[last], mixed[other]] = [mixed[other], mixed[last]];
      }
      return mixed;
    },
  };
}

/** @typedef {ReturnType<typeof chance>} Chance */

/** As many seeds as a property is tried with. @param {number} count */
export const seeds = (count) => Array.from({ length: count }, (_, index) => index + 1);
