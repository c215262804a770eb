/** What a user changed is shown at once and forgotten when the server has answered, whatever it answered. */
import { describe, expect, it } from "vitest";
import { Problem } from "../lib/problem";
import { createOptimistic } from "./optimistic";

/** @param {string} detail */
const refusal = (detail) => new Problem({ status: 403, code: "forbidden", title: "Forbidden", detail });

/** A request whose answer the test gives. */
function request() {
  /** @type {(value: unknown) => void} */
  let accept = () => {};
  /** @type {(reason: unknown) => void} */
  let refuse = () => {};
  const promise = new Promise((resolve, reject) => ([accept, refuse] = [resolve, reject]));
  return { send: () => promise, accept, refuse };
}

describe("a change that is on its way", () => {
  it("is shown before the server has answered, and no longer when it has", async () => {
    const optimistic = createOptimistic();
    const { send, accept } = request();
    const answered = optimistic.during(1, { device_name: "new" }, send);
    expect(optimistic.get().get(1)).toEqual({ device_name: "new" });
    accept("row");
    await expect(answered).resolves.toBe("row");
    expect(optimistic.get().size).toBe(0);
  });

  it("is undone with the server's reason when it is refused", async () => {
    const optimistic = createOptimistic();
    const { send, refuse } = request();
    const answered = optimistic.during(1, { device_name: "new" }, send);
    const reason = refusal("Only an administrator gives devices to other users.");
    refuse(reason);
    await expect(answered).rejects.toBe(reason);
    expect(optimistic.get().has(1)).toBe(false);
  });

  it("is undone when the request could not even be made", async () => {
    const optimistic = createOptimistic();
    const answered = optimistic.during(1, { device_name: "new" }, () => {
      throw refusal("No.");
    });
    await expect(answered).rejects.toThrow("No.");
    expect(optimistic.get().size).toBe(0);
  });

  it("is not ended by the answer to an earlier change of the same device", async () => {
    const optimistic = createOptimistic();
    const [first, second] = [request(), request()];
    const firstAnswered = optimistic.during(1, { device_name: "a" }, first.send);
    const secondAnswered = optimistic.during(1, { device_name: "b" }, second.send);
    first.accept(undefined);
    await firstAnswered;
    expect(optimistic.get().get(1)).toEqual({ device_name: "b" });
    second.refuse(refusal("No."));
    await expect(secondAnswered).rejects.toThrow("No.");
    expect(optimistic.get().has(1)).toBe(false);
  });

  it("concerns its device alone", async () => {
    const optimistic = createOptimistic();
    const [first, second] = [request(), request()];
    const firstAnswered = optimistic.during(1, { tags: { a: "" } }, first.send);
    void optimistic.during(2, { tags: { b: "" } }, second.send);
    first.accept(undefined);
    await firstAnswered;
    expect([...optimistic.get().keys()]).toEqual([2]);
  });
});

describe("whoever watches", () => {
  it("hears when a change begins and ends, and gets another map each time", async () => {
    const optimistic = createOptimistic();
    /** @type {number[]} */
    const sizes = [];
    const maps = new Set();
    optimistic.subscribe(() => {
      sizes.push(optimistic.get().size);
      maps.add(optimistic.get());
    });
    await optimistic.during(1, {}, async () => {});
    expect(sizes).toEqual([1, 0]);
    expect(maps.size).toBe(2);
  });

  it("sees nothing of another user's changes after a sign-out", () => {
    const optimistic = createOptimistic();
    void optimistic.during(1, { device_name: "new" }, request().send);
    optimistic.clear();
    expect(optimistic.get().size).toBe(0);
  });
});
