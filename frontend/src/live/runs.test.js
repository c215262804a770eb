/** Runs and tasks as they change: the greater `rev` stands, both maps stay small, and a run that ends is told once. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { setServerTime } from "../lib/clock";
import { at, chance, golden, seeds } from "../test-support";
import { reduce } from "./events";
import { emptyState } from "./rows";
import { RUNS_KEPT, WATCHED_KEPT } from "./runs";

/** @typedef {import("./runs").Run} Run */
/** @typedef {import("./runs").Task} Task */

const [RUN] = golden("runs_changed").runs;
const [TASK] = golden("tasks_changed").tasks;

/** @param {Partial<Run>} fields @returns {Run} */
const run = (fields) => ({ ...RUN, ...fields });
/** @param {Partial<Task>} fields @returns {Task} */
const task = (fields) => ({ ...TASK, ...fields });
/** @param {Run[]} runs @returns {[string, any]} */
const runs = (...runs) => ["runs_changed", { runs }];
/** @param {string} run_id @param {Task[]} tasks @returns {[string, any]} */
const tasks = (run_id, ...tasks) => ["tasks_changed", { run_id, tasks }];

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  setServerTime(at(0));
});
afterEach(() => {
  vi.useRealTimers();
});

describe("runs", () => {
  it("are what the greatest rev says, in whatever order it comes", () => {
    for (const seed of seeds(30)) {
      const random = chance(seed);
      const views = Array.from({ length: 12 }, (_, index) =>
        run({ id: `run-${index % 3}`, rev: 1 + Math.floor(index / 3), total: index }),
      );
      const { state } = reduce(
        emptyState(),
        random.shuffled(views).map((view) => runs(view)),
      );
      expect([...state.runs.values()].map(({ rev }) => rev)).toEqual([4, 4, 4]);
      for (const view of state.runs.values()) expect(views).toContain(view);
    }
  });

  it("are forgotten when there are many, the oldest first", () => {
    const many = Array.from({ length: RUNS_KEPT + 20 }, (_, index) =>
      run({ id: `run-${String(index).padStart(5, "0")}` }),
    );
    const { state } = reduce(emptyState(), [runs(...many)]);
    expect(state.runs.size).toBe(RUNS_KEPT);
    expect(state.runs.has("run-00019")).toBe(false);
    expect(state.runs.has("run-00020")).toBe(true);
  });

  it("are told when they end, once", () => {
    const first = reduce(emptyState(), [runs(run({ rev: 1, finished_at: null }))]);
    expect(first.ended).toEqual([]);
    const over = run({ rev: 2, finished_at: at(-60) });
    const second = reduce(first.state, [runs(over)]);
    expect(second.ended).toEqual([over]);
    const again = reduce(second.state, [runs(run({ rev: 3, finished_at: at(-60) }))]);
    expect(again.ended).toEqual([]);
  });

  it("that nobody had heard of are told if they ended just now", () => {
    const now = run({ id: "b", finished_at: at(-2) });
    const { ended } = reduce(emptyState(), [runs(run({ id: "a", finished_at: at(-60) }), now)]);
    expect(ended).toEqual([now]);
  });

  it("leave the state before them as it was", () => {
    const before = reduce(emptyState(), [runs(run({ rev: 1 }))]).state;
    const kept = structuredClone(before);
    reduce(before, [runs(run({ rev: 2 })), tasks("run-1", task({ rev: 2 }))]);
    expect(before).toEqual(kept);
  });
});

describe("tasks", () => {
  it("are kept by run, the greater rev of each", () => {
    const { state } = reduce(emptyState(), [
      tasks("run-1", task({ id: "a", rev: 2 }), task({ id: "b", rev: 1 })),
      tasks("run-2", task({ id: "c", rev: 1 })),
      tasks("run-1", task({ id: "a", rev: 1, state: "sent" }), task({ id: "b", rev: 4, state: "succeeded" })),
    ]);
    expect([...(state.tasks.get("run-1")?.values() ?? [])].map(({ id, rev }) => [id, rev])).toEqual([
      ["a", 2],
      ["b", 4],
    ]);
    expect([...(state.tasks.get("run-2")?.keys() ?? [])]).toEqual(["c"]);
  });

  it("of few runs are kept, those heard of last", () => {
    const names = Array.from({ length: WATCHED_KEPT + 2 }, (_, index) => `run-${index}`);
    const { state } = reduce(
      emptyState(),
      names.map((name) => tasks(name, task({}))),
    );
    expect([...state.tasks.keys()]).toEqual(names.slice(2));
  });

  it("understand the wire's example", () => {
    const { state } = reduce(emptyState(), [["tasks_changed", golden("tasks_changed")]]);
    expect(state.tasks.get(RUN.id)?.size).toBe(3);
  });
});
