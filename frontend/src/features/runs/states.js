/**
 * The words and marks of every state of a task, written once, in the order in which they are listed: what needs somebody
 * first. The states themselves and the ways between them are the protocol's (`tasks.py`).
 *
 * @typedef {import("../../live/runs").Task["state"]} TaskState
 * @typedef {import("../../live/runs").Run} Run
 */
import { formatCount } from "../../lib/text";

/** @type {Record<TaskState, { word: string, icon: string, meaning: string }>} */
export const TASK_STATES = {
  failed: { word: "Failed", icon: "close", meaning: "It ended with another exit code than 0, or could not start." },
  timed_out: { word: "Timed out", icon: "clock", meaning: "It ran longer than allowed, and was ended." },
  interrupted: { word: "Interrupted", icon: "unlink", meaning: "The agent or its machine stopped while it ran." },
  lost: { word: "Lost", icon: "help", meaning: "Nobody can say what became of it." },
  expired: { word: "Expired", icon: "clock", meaning: "It was not started in time, and never will be." },
  running: { word: "Running", icon: "play", meaning: "It runs now." },
  accepted: { word: "Accepted", icon: "pending", meaning: "The agent has it, and starts it as soon as it may." },
  sent: { word: "Sent", icon: "pending", meaning: "Handed to the device; its receipt is not here yet." },
  queued: {
    word: "Queued",
    icon: "unknown",
    meaning: "Saved; it is sent when the device is there and others are done.",
  },
  cancelled: { word: "Cancelled", icon: "stop", meaning: "Someone called it off." },
  succeeded: { word: "Succeeded", icon: "trusted", meaning: "It ended with exit code 0." },
};

export const STATE_ORDER = /** @type {TaskState[]} */ (Object.keys(TASK_STATES));

/** @type {ReadonlySet<TaskState>} */
export const UNFINISHED = new Set(/** @type {TaskState[]} */ (["queued", "sent", "accepted", "running"]));

/** Those that a retry repeats. @type {readonly TaskState[]} */
export const RETRIED = ["failed", "timed_out", "interrupted", "lost", "expired", "cancelled"];

/** Those that a run is called failed for. @type {readonly TaskState[]} */
export const BAD = ["failed", "timed_out", "interrupted", "lost", "expired"];

/** @param {Run["counts"]} counts @param {Iterable<TaskState>} states */
export function countIn(counts, states) {
  let sum = 0;
  for (const state of states) sum += counts[state] ?? 0;
  return sum;
}

/** @param {Run} run */
export const unfinished = (run) => countIn(run.counts, UNFINISHED);

/** The states that a run has, in their order. @param {Run["counts"]} counts */
export const statesOf = (counts) => STATE_ORDER.filter((state) => counts[state] > 0);

/** "35 succeeded, 2 failed", what is bad first. @param {Run["counts"]} counts */
export const countWords = (counts) =>
  statesOf(counts)
    .map((state) => `${formatCount(counts[state])} ${TASK_STATES[state].word.toLowerCase()}`)
    .join(", ");
