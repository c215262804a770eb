/**
 * The words and marks of every state of a deployment, of its devices and of its waves, written once. The states themselves
 * and the ways between them are the protocol's (`deployments.py`).
 *
 * @typedef {import("../../live/deployments").Deployment} Deployment
 * @typedef {import("../../live/deployments").Target} Target
 * @typedef {Deployment["state"]} DeploymentState
 * @typedef {Target["state"]} TargetState
 * @typedef {Deployment["waves"][number]["state"]} WaveState
 */
import { formatCount } from "../../lib/text";

/** @type {Record<DeploymentState, { word: string, icon: string, meaning: string }>} */
export const DEPLOYMENT_STATES = {
  awaiting_approval: {
    word: "Waits for approval",
    icon: "pending",
    meaning: "A second person has to approve exactly this plan.",
  },
  running: { word: "Running", icon: "play", meaning: "It goes from wave to wave, as its gates let it." },
  paused: { word: "Paused", icon: "pause", meaning: "Nothing starts; what is in flight ends." },
  aborting: { word: "Being aborted", icon: "stop", meaning: "Nothing starts any more; what is in flight ends." },
  rolling_back: { word: "Rolling back", icon: "undo", meaning: "All that have it go back to what they had before." },
  failed: { word: "Failed", icon: "close", meaning: "It is over, and some devices do not have it." },
  rejected: { word: "Rejected", icon: "close", meaning: "A second person did not approve it: nothing was started." },
  aborted: { word: "Aborted", icon: "stop", meaning: "It was called off; what had the release by then has it." },
  rolled_back: { word: "Rolled back", icon: "undo", meaning: "No device has it that could be brought back." },
  succeeded: { word: "Succeeded", icon: "trusted", meaning: "Every device that was not left out has it." },
};

/** Those in which something may still happen by itself. @type {readonly DeploymentState[]} */
export const ACTIVE = ["awaiting_approval", "running", "paused", "aborting", "rolling_back"];

/** @type {Record<TargetState, { word: string, icon: string, meaning: string }>} */
export const TARGET_STATES = {
  failed: { word: "Failed", icon: "close", meaning: "The device does not have it." },
  rolling_back: { word: "Going back", icon: "undo", meaning: "The device goes back, by itself or told to." },
  rolled_back: { word: "Rolled back", icon: "undo", meaning: "The device has again what it had before." },
  downloading: { word: "Downloading", icon: "download", meaning: "What it needs is fetched." },
  installing: { word: "Installing", icon: "play", meaning: "It is put in its place." },
  verifying: { word: "Verifying", icon: "search", meaning: "Whether it is there and healthy is looked at." },
  pending: { word: "Pending", icon: "unknown", meaning: "Its turn has not come." },
  skipped: { word: "Left out", icon: "right", meaning: "It is left out; the reason says why." },
  succeeded: { word: "Succeeded", icon: "trusted", meaning: "The device has it, and said so." },
};

export const TARGET_ORDER = /** @type {TargetState[]} */ (Object.keys(TARGET_STATES));

/** @type {ReadonlySet<TargetState>} */
export const IN_FLIGHT = new Set(
  /** @type {TargetState[]} */ (["downloading", "installing", "verifying", "rolling_back"]),
);

/** Those that may be tried again. @type {readonly TargetState[]} */
export const RETRIED = ["failed", "rolled_back", "skipped"];

/** Those that may have the release, and would go back. @type {readonly TargetState[]} */
export const GO_BACK = ["succeeded", "failed", "downloading", "installing", "verifying"];

/** @type {Record<WaveState, { word: string, icon: string }>} */
export const WAVE_STATES = {
  waiting: { word: "Waiting", icon: "unknown" },
  open: { word: "Open", icon: "play" },
  soaking: { word: "Soaking", icon: "clock" },
  held: { word: "Held", icon: "pause" },
  failed: { word: "Failed", icon: "close" },
  done: { word: "Done", icon: "trusted" },
};

/** What a task of a release is at, as a target's line has it. @type {Record<NonNullable<Target["phase"]>, string>} */
export const PHASES = {
  fetching: "fetching",
  installing: "installing",
  rebooting: "restarting",
  detecting: "looking for it",
  checking: "checking its health",
  confirming: "confirming that the server is reached",
  reverting: "putting the previous version back",
};

/** @param {Deployment["counts"]} counts @param {Iterable<TargetState>} states */
export function countIn(counts, states) {
  let sum = 0;
  for (const state of states) sum += counts[state] ?? 0;
  return sum;
}

/** The states that there are, in their order. @param {Deployment["counts"]} counts */
export const statesOf = (counts) => TARGET_ORDER.filter((state) => counts[state] > 0);

/** "2 failed, 35 succeeded", what is bad first. @param {Deployment["counts"]} counts */
export const countWords = (counts) =>
  statesOf(counts)
    .map((state) => `${formatCount(counts[state])} ${TARGET_STATES[state].word.toLowerCase()}`)
    .join(", ");

/** How many of these are settled. @param {Deployment["counts"]} counts */
export const settledIn = (counts) => countIn(counts, ["succeeded", "failed", "rolled_back", "skipped"]);
