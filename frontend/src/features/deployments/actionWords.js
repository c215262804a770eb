/**
 * What can be done with a deployment, in words: the button, what it does to how many devices, and why it is off. Pure.
 *
 * @typedef {import("./states").Deployment} Deployment
 * @typedef {import("./steering").Action} Action
 * @typedef {object} Words
 * @property {string} button
 * @property {string} icon
 * @property {(deployment: Deployment) => number} count how many devices it concerns; above 20 the number is typed
 * @property {(deployment: Deployment, count: number) => string} title of the question
 * @property {(deployment: Deployment, count: number) => string} action the button that does it
 * @property {(deployment: Deployment, count: number) => string} what happens
 * @property {string} refused what is said where the server refuses
 * @property {string} [color]
 */
import { plural } from "../../lib/text";
import { ACTIVE, DEPLOYMENT_STATES, GO_BACK, IN_FLIGHT, RETRIED, countIn } from "./states";

/** @param {Deployment} deployment */
const flying = ({ counts }) => countIn(counts, IN_FLIGHT);
/** @param {Deployment} deployment */
const waiting = ({ counts }) => counts.pending ?? 0;

/** "3 devices in flight end; " or nothing. @param {Deployment} deployment */
const endWords = (deployment) => {
  const count = flying(deployment);
  return count > 0 ? `${plural(count, "device")} in flight ${count === 1 ? "ends" : "end"} what they are at. ` : "";
};

/** The wave that would open next. @param {Deployment} deployment */
export const nextWave = ({ waves, wave }) => waves.find(({ number }) => number === wave + 1);

/** @type {Record<Action, Words>} */
export const ACTIONS = {
  pause: {
    button: "Pause",
    icon: "pause",
    count: () => 0,
    title: ({ title }) => `Pause ${title}`,
    action: () => "Pause",
    what: (deployment) =>
      `${endWords(deployment)}Nothing new starts: ${plural(waiting(deployment), "device waits", "devices wait")} until somebody goes on.`,
    refused: "It was not paused.",
    color: "accent",
  },
  resume: {
    button: "Resume",
    icon: "play",
    count: () => 0,
    title: ({ title }) => `Go on with ${title}`,
    action: () => "Resume",
    what: (deployment) =>
      `${plural(waiting(deployment), "device")} that ${waiting(deployment) === 1 ? "waits gets its turn" : "wait get their turn"}, wave by wave. What failed until now is not counted again.`,
    refused: "It did not go on.",
    color: "accent",
  },
  promote: {
    button: "Promote",
    icon: "forward",
    count: (deployment) => nextWave(deployment)?.total ?? 0,
    title: (deployment) => `Open wave ${deployment.wave + 1} now`,
    action: (_, count) => `Open it for ${plural(count, "device")}`,
    what: (deployment, count) =>
      `Wave ${deployment.wave + 1} with ${plural(count, "device")} begins now, whatever the gate before it says: ${
        deployment.waves.find(({ number }) => number === deployment.wave)?.gate.sentence ?? ""
      }`,
    refused: "No wave was opened.",
    color: "accent",
  },
  retry: {
    button: "Retry",
    icon: "sync",
    count: ({ counts }) => countIn(counts, RETRIED),
    title: ({ title }) => `Try ${title} again`,
    action: (_, count) => `Try again on ${plural(count, "device")}`,
    what: () => "It is tried again on the devices where it ended so:",
    refused: "Nothing is tried again.",
    color: "accent",
  },
  rollback: {
    button: "Roll back",
    icon: "undo",
    count: ({ counts }) => countIn(counts, GO_BACK),
    title: ({ title }) => `Roll back ${title}`,
    action: (_, count) => `Roll back ${plural(count, "device")}`,
    what: (deployment, count) =>
      `${plural(count, "device that has it or may have it goes back to what it", "devices that have it or may have it go back to what they")} had before. ${
        waiting(deployment) > 0 ? `${plural(waiting(deployment), "device")} that wait are not touched. ` : ""
      }`,
    refused: "Nothing was rolled back.",
  },
  abort: {
    button: "Abort",
    icon: "stop",
    count: (deployment) => waiting(deployment) + flying(deployment),
    title: ({ title }) => `Abort ${title}`,
    action: (_, count) => (count > 0 ? `Abort for ${plural(count, "device")}` : "Abort"),
    what: (deployment) =>
      `${endWords(deployment)}${plural(waiting(deployment), "device")} that ${waiting(deployment) === 1 ? "waits is" : "wait are"} left out. What has the release by then keeps it.`,
    refused: "It was not aborted.",
  },
  approve: {
    button: "Approve",
    icon: "trusted",
    count: ({ total }) => total,
    title: ({ title }) => `Approve ${title}`,
    action: (_, count) => `Approve for ${plural(count, "device")}`,
    what: ({ title, waves }, count) =>
      `${title} then goes to ${plural(count, "device")} in ${plural(waves.length, "wave")}, exactly as the plan is now.`,
    refused: "It was not approved.",
    color: "accent",
  },
  reject: {
    button: "Reject",
    icon: "close",
    count: () => 0,
    title: ({ title }) => `Reject ${title}`,
    action: () => "Reject",
    what: ({ total }) =>
      `Nothing is started on any of the ${plural(total, "device")}. To have it after all, somebody makes a new deployment.`,
    refused: "It was not rejected.",
  },
};

/** What each needs, where it is not there. @type {Partial<Record<Action, string>>} */
const NEEDS = {
  pause: "Only what is running can be paused.",
  resume: "Only what is paused can go on.",
  promote: "There is no wave that waits behind an open one.",
  retry: "Nothing has failed, went back or was left out that could be tried again now.",
  rollback: "No device has it that could go back.",
};

/** Why an action cannot be done now, or null. @param {Deployment} deployment @param {Action} action */
export function actionOff({ actions, state }, action) {
  if (actions.includes(action)) return null;
  if (!ACTIVE.includes(state) && action !== "rollback" && action !== "retry")
    return `It is over: ${DEPLOYMENT_STATES[state].word.toLowerCase()}.`;
  if (state === "awaiting_approval") return "It waits for its approval.";
  return NEEDS[action] ?? "It cannot be done now.";
}
