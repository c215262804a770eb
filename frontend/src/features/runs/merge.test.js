/** Pages with what changed since: the newest view of each, nothing beyond what was read, nothing that no longer matches. */
import { describe, expect, it } from "vitest";
import { golden } from "../../test-support";
import { mergeRuns, mergeTasks } from "./merge";

/** @typedef {import("../../live/runs").Run} Run */
/** @typedef {import("../../live/runs").Task} Task */

const [RUN] = golden("runs_changed").runs;
const [TASK] = golden("tasks_changed").tasks;

/** @param {Partial<Run>} fields @returns {Run} */
const run = (fields) => ({ ...RUN, ...fields });
/** @param {Partial<Task>} fields @returns {Task} */
const task = (fields) => ({ ...TASK, ...fields });
/** @template {{ id: string }} T @param {T[]} rows */
const live = (...rows) => new Map(rows.map((row) => [row.id, row]));
/** @param {{ id: string }[]} rows */
const ids = (rows) => rows.map(({ id }) => id);

describe("runs", () => {
  const read = [run({ id: "c", rev: 2 }), run({ id: "b", rev: 2 })];

  it("are the newest view of each, new ones first", () => {
    const rows = mergeRuns(
      read,
      live(run({ id: "d", rev: 1 }), run({ id: "c", rev: 3, total: 9 }), run({ id: "b", rev: 1 })),
      {},
      true,
    );
    expect(rows.map(({ id, rev }) => [id, rev])).toEqual([
      ["d", 1],
      ["c", 3],
      ["b", 2],
    ]);
  });

  it("end where the pages that were read end", () => {
    expect(ids(mergeRuns(read, live(run({ id: "a" })), {}, true))).toEqual(["c", "b"]);
    expect(ids(mergeRuns(read, live(run({ id: "a" })), {}, false))).toEqual(["c", "b", "a"]);
  });

  it("leave the list when they no longer match", () => {
    const over = run({ id: "c", rev: 3, finished_at: "2026-03-01T08:31:00.000Z", counts: { succeeded: 3 } });
    expect(ids(mergeRuns(read, live(over), { state: "active" }, true))).toEqual(["b"]);
    const theirs = run({ id: "d", created_by: "grace@example.test" });
    expect(ids(mergeRuns([], live(theirs, run({ id: "e" })), { by: "Grace@example.test" }, false))).toEqual(["d"]);
    expect(ids(mergeRuns([], live(over, run({ id: "b" })), { state: "finished" }, false))).toEqual(["c"]);
    expect(ids(mergeRuns([], live(over), { state: "failed" }, false))).toEqual([]);
    expect(ids(mergeRuns([], live(run({ ...over, counts: { lost: 1 } })), { state: "failed" }, false))).toEqual(["c"]);
  });

  it("are searched in title and starter", () => {
    const rows = live(
      run({ id: "a", title: "apt upgrade" }),
      run({ id: "b", title: "x", created_by: "Apt@example.test" }),
      run({ id: "c", title: "y" }),
    );
    expect(ids(mergeRuns([], rows, { q: " APT" }, false))).toEqual(["b", "a"]);
  });
});

describe("tasks", () => {
  const read = [task({ id: "a", rev: 1, state: "running" }), task({ id: "c", rev: 1, state: "running" })];

  it("keep their order and leave a state's list with that state", () => {
    const changed = live(
      task({ id: "a", rev: 2, state: "failed" }),
      task({ id: "b", rev: 2, state: "running" }),
      task({ id: "d", state: "running" }),
    );
    expect(ids(mergeTasks(read, changed, { state: "running" }, true))).toEqual(["b", "c"]);
    expect(ids(mergeTasks(read, changed, {}, false))).toEqual(["a", "b", "c", "d"]);
    expect(ids(mergeTasks(read, undefined, {}, true))).toEqual(["a", "c"]);
  });

  it("are narrowed by digest and name", () => {
    const rows = live(
      task({ id: "a", digest: "x", device_name: "Web-1" }),
      task({ id: "b", digest: "y", device_name: "db-1" }),
    );
    expect(ids(mergeTasks([], rows, { digest: "x" }, false))).toEqual(["a"]);
    expect(ids(mergeTasks([], rows, { q: "WEB" }, false))).toEqual(["a"]);
  });
});
