/**
 * What this user changed and the server has not confirmed yet. Kept beside the store, never in it: a refusal only has to
 * forget it.
 */
import { createAtom } from "../lib/atom";

/**
 * @template [Id=number]
 * @template [Patch=Partial<import("./rows").Device>]
 */
export function createOptimistic() {
  /** @type {ReadonlyMap<Id, Patch>} */
  const NONE = new Map();
  const atom = createAtom(NONE);

  /** @param {Id} id @param {Patch | null} patch */
  function change(id, patch) {
    atom.set((now) => {
      const next = new Map(now);
      if (patch) next.set(id, patch);
      else next.delete(id);
      return next;
    });
  }

  return {
    get: atom.get,
    subscribe: atom.subscribe,
    /**
     * Shows `patch` until `request` has answered, whatever it answers.
     *
     * @template T
     * @param {Id} id
     * @param {Patch} patch
     * @param {() => Promise<T>} request
     */
    async during(id, patch, request) {
      change(id, patch);
      try {
        return await request();
      } finally {
        if (atom.get().get(id) === patch) change(id, null);
      }
    },
    clear: () => atom.set(NONE),
  };
}
