/**
 * Lists that were read in pages, with what changed since on top. Pure. Invariants: of two views of one thing the greater
 * `rev` is shown; nothing is shown beyond the last page that was read, because what stands between is not known.
 *
 * @typedef {import("../../live/runs").Run} Run
 * @typedef {import("../../live/runs").Task} Task
 * @typedef {{ state?: string, q?: string, by?: string }} RunFilter
 */
import { newestFirst } from "../../live/runs";
import { BAD, countIn } from "./states";

/** @template {{ rev: number }} T @param {T} a @param {T | undefined} b */
export const newer = (a, b) => (b && b.rev > a.rev ? b : a);

/** The same question as the server's. @param {RunFilter} filter @returns {(run: Run) => boolean} */
export function runMatcher({ state, q, by }) {
  const text = q?.trim().toLowerCase() ?? "";
  return (run) => {
    if (state === "active" && run.finished_at) return false;
    if ((state === "finished" || state === "failed") && !run.finished_at) return false;
    if (state === "failed" && countIn(run.counts, BAD) === 0) return false;
    if (by && run.created_by !== by.toLowerCase()) return false;
    return !text || run.title.toLowerCase().includes(text) || run.created_by.toLowerCase().includes(text);
  };
}

/**
 * @param {Run[]} read newest first
 * @param {ReadonlyMap<string, Run>} live
 * @param {RunFilter} filter
 * @param {boolean} more whether there are older ones that were not read
 */
export function mergeRuns(read, live, filter, more) {
  const oldest = read.at(-1)?.id ?? "";
  return mergeRows(read, live, runMatcher(filter), (run) => !more || run.id >= oldest).sort(newestFirst);
}

/** @param {import("./api").TaskFilter} filter @returns {(task: Task) => boolean} */
export function taskMatcher({ state, digest, q }) {
  const text = q?.trim().toLowerCase() ?? "";
  return (task) =>
    (!state || task.state === state) &&
    (!digest || task.digest === digest) &&
    (!text || task.device_name.toLowerCase().includes(text));
}

/**
 * @param {Task[]} read in the order of their ids, which is that of the devices' names
 * @param {ReadonlyMap<string, Task> | undefined} live
 * @param {import("./api").TaskFilter} filter
 * @param {boolean} more
 */
export function mergeTasks(read, live, filter, more) {
  const last = read.at(-1)?.id ?? "";
  const rows = mergeRows(read, live, taskMatcher(filter), (task) => !more || task.id <= last);
  return rows.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * @template {{ id: string, rev: number }} T
 * @param {T[]} read
 * @param {ReadonlyMap<string, T> | undefined} live
 * @param {(row: T) => boolean} matches
 * @param {(row: T) => boolean} reached whether a row that was not read stands within what was
 */
export function mergeRows(read, live, matches, reached) {
  const rows = new Map(read.map((row) => [row.id, newer(row, live?.get(row.id))]));
  for (const row of live?.values() ?? []) if (!rows.has(row.id) && reached(row)) rows.set(row.id, row);
  return [...rows.values()].filter(matches);
}
