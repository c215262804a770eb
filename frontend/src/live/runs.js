/**
 * What may be done to the runs and tasks of a draft. Invariants: of two views of one run or task the one with the greater
 * `rev` stands; both maps are bounded, because the REST API has all of them and these are only what changed meanwhile.
 *
 * @typedef {import("./protocol").components["schemas"]} Schemas
 * @typedef {Schemas["RunView"]} Run
 * @typedef {Schemas["TaskView"]} Task
 */
import { now } from "../lib/clock";

/** The newest runs; ids are UUIDv7, so that later ones sort after earlier ones. */
export const RUNS_KEPT = 500;
/** Runs whose tasks are kept: more than one page watches at once. */
export const WATCHED_KEPT = 4;
/** A run that was never heard of ended just now if it did so within this time. */
const JUST_NOW_MS = 10_000;

/** @param {{ id: string }} a @param {{ id: string }} b */
export const newestFirst = (a, b) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

/** @param {import("./rows").Draft} draft @param {Run[]} views */
export function putRuns(draft, views) {
  const runs = new Map(draft.state.runs);
  for (const run of views) {
    const known = runs.get(run.id);
    if (known && known.rev >= run.rev) continue;
    runs.set(run.id, run);
    if (run.finished_at && (known ? !known.finished_at : now() - Date.parse(run.finished_at) < JUST_NOW_MS))
      draft.ended.push(run);
  }
  draft.state.runs = runs.size > RUNS_KEPT ? new Map(newest(runs).map((run) => [run.id, run])) : runs;
}

/** @param {Map<string, Run>} runs */
const newest = (runs) => [...runs.values()].sort(newestFirst).slice(0, RUNS_KEPT);

/** @param {import("./rows").Draft} draft @param {string} runId @param {Task[]} views */
export function putTasks(draft, runId, views) {
  const before = draft.state.tasks.get(runId);
  const tasks = new Map(before);
  for (const task of views) {
    const known = tasks.get(task.id);
    if (!known || known.rev < task.rev) tasks.set(task.id, task);
  }
  const all = [...draft.state.tasks].filter(([id]) => id !== runId);
  draft.state.tasks = new Map([...all.slice(1 - WATCHED_KEPT), [runId, tasks]]);
}
