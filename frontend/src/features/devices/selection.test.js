/** Which rows are selected, by click, by shift and all at once. */
import { describe, expect, it } from "vitest";
import { chance, deviceMap, seeds } from "../../test-support";
import { NOTHING, extend, selectAll, selectedDevices, toggle } from "./selection";

/** @param {import("./selection").Selection} selection */
const idsOf = ({ ids }) => [...ids].sort((a, b) => a - b);
const ORDER = [30, 10, 20, 50, 40];

it("turns one row on and off again", () => {
  const one = toggle(NOTHING, 10);
  expect(one).toEqual({ ids: new Set([10]), anchor: 10 });
  expect(toggle(one, 10).ids.size).toBe(0);
  expect(NOTHING.ids.size).toBe(0);
});

describe("shift", () => {
  it("selects from the anchor, as the rows stand on the screen, in both directions", () => {
    expect(idsOf(extend(toggle(NOTHING, 10), 50, ORDER))).toEqual([10, 20, 50]);
    expect(idsOf(extend(toggle(NOTHING, 50), 10, ORDER))).toEqual([10, 20, 50]);
  });

  it("keeps its anchor and what was selected", () => {
    const first = extend(toggle(toggle(NOTHING, 40), 10), 20, ORDER);
    expect(first.anchor).toBe(10);
    expect(idsOf(extend(first, 30, ORDER))).toEqual([10, 20, 30, 40]);
  });

  it("selects one row when there is no anchor, or it is not on the screen any more", () => {
    expect(extend(NOTHING, 20, ORDER)).toEqual({ ids: new Set([20]), anchor: 20 });
    expect(extend(toggle(NOTHING, 99), 20, ORDER)).toEqual({ ids: new Set([99, 20]), anchor: 20 });
  });
});

it("selects all that match, and nothing that is gone", () => {
  const all = selectAll(ORDER);
  expect(idsOf(all)).toEqual([10, 20, 30, 40, 50]);
  const devices = deviceMap({ id: 10 }, { id: 50 });
  expect(selectedDevices(all, devices).map(({ id }) => id)).toEqual([10, 50]);
});

it.each(seeds(50))("never changes an earlier selection, with seed %i", (seed) => {
  const random = chance(seed);
  let selection = NOTHING;
  for (let turn = 0; turn < 20; turn += 1) {
    const before = idsOf(selection);
    const id = random.pick(ORDER);
    const next = random.happens(0.5) ? toggle(selection, id) : extend(selection, id, ORDER);
    expect(idsOf(selection)).toEqual(before);
    selection = next;
  }
});
