/** One value that is watched: it tells of another value, and of nothing else. */
import { expect, it, vi } from "vitest";
import { createAtom } from "./atom";

it("tells of another value until nobody listens", () => {
  const atom = createAtom(1);
  const heard = vi.fn();
  const stop = atom.subscribe(heard);
  atom.set(2);
  atom.set((now) => now + 1);
  expect(atom.get()).toBe(3);
  expect(heard).toHaveBeenCalledTimes(2);
  atom.set(3);
  expect(heard).toHaveBeenCalledTimes(2);
  stop();
  atom.set(4);
  expect(heard).toHaveBeenCalledTimes(2);
});
