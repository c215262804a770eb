/** One action on many devices: each exactly once, few at a time, no failure lost. */
import { act, renderHook } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { Problem } from "../../lib/problem";
import { chance, device, seeds } from "../../test-support";
import { runOnEach, useBulk } from "./bulk";

/** @param {number} count */
const devices = (count) => Array.from({ length: count }, (_, id) => device({ id }));
const refused = new Problem({ status: 403, code: "forbidden", title: "Forbidden", detail: "No." });

describe("running on each", () => {
  it.each(seeds(20))("acts once on each, on six at a time, with seed %i", async (seed) => {
    const random = chance(seed);
    const many = devices(random.integer(40));
    const fails = new Set(many.filter(() => random.happens(0.3)).map(({ id }) => id));
    const progress = vi.fn();
    /** @type {number[]} */
    const acted = [];
    let running = 0;
    let most = 0;
    const failures = await runOnEach(
      many,
      async ({ id }) => {
        acted.push(id);
        most = Math.max(most, (running += 1));
        for (let turn = random.integer(5); turn >= 0; turn -= 1) await Promise.resolve();
        running -= 1;
        if (fails.has(id)) throw refused;
      },
      progress,
    );
    expect([...acted].sort((a, b) => a - b)).toEqual(many.map(({ id }) => id));
    expect(most).toBe(Math.min(6, many.length));
    expect(progress.mock.calls.flat()).toEqual(many.map((_, index) => index + 1));
    expect(new Set(failures.map(({ device: { id } }) => id))).toEqual(fails);
    for (const { problem } of failures) expect(problem).toBe(refused);
  });

  it("goes on after an action that fails before it has begun, and names that failure too", async () => {
    const acted = vi.fn();
    const failures = await runOnEach(
      devices(8),
      (one) => {
        acted(one.id);
        if (one.id === 0) throw new TypeError("odd");
        return Promise.resolve();
      },
      () => {},
    );
    expect(acted).toHaveBeenCalledTimes(8);
    expect(failures.map(({ device: { id }, problem: { code } }) => [id, code])).toEqual([[0, "dashboard_error"]]);
  });
});

describe("the bar of a bulk action", () => {
  it("counts while it runs, then keeps the failures until they are cleared", async () => {
    const { result } = renderHook(() => useBulk());
    /** @type {(() => void)[]} */
    const finish = [];
    /** @type {Promise<boolean> | undefined} */
    let done;
    act(() => {
      done = result.current.run(
        devices(2),
        ({ id }) =>
          new Promise((resolve, reject) => finish.push(() => (id === 1 ? reject(refused) : resolve(undefined)))),
      );
    });
    expect(result.current.running).toEqual({ total: 2, done: 0 });
    await act(async () => finish[0]());
    expect(result.current.running).toEqual({ total: 2, done: 1 });
    await act(async () => {
      finish[1]();
      await done;
    });
    await expect(done).resolves.toBe(false);
    expect(result.current.running).toBeNull();
    expect(result.current.failures).toEqual([{ device: expect.objectContaining({ id: 1 }), problem: refused }]);
    act(() => result.current.clear());
    expect(result.current.failures).toEqual([]);
  });

  it("says when all went well, and forgets earlier failures", async () => {
    const { result } = renderHook(() => useBulk());
    await act(() => result.current.run(devices(1), () => Promise.reject(refused)));
    expect(result.current.failures).toHaveLength(1);
    const well = await act(() => result.current.run(devices(3), () => Promise.resolve()));
    expect(well).toBe(true);
    expect(result.current.failures).toEqual([]);
  });
});
