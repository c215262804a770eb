/**
 * What this user asked of a deployment and the server has not answered yet: shown at once, undone with the reason where
 * it is refused.
 *
 * @typedef {"pause" | "resume" | "abort" | "rollback" | "promote" | "retry" | "approve" | "reject"} Action
 * @typedef {import("../../live/deployments").Deployment} Deployment
 * @typedef {import("../../live/deployments").Target} Target
 */
import { onForget, store } from "../../live";
import { DEPLOYMENTS_CHANGED } from "../../live/events";
import { createOptimistic } from "../../live/optimistic";
import { STEER } from "./api";

/** @type {ReturnType<typeof createOptimistic<string, Partial<Deployment>>>} */
export const steering = createOptimistic();
onForget(steering.clear);

/** How it will be, while the answer is on its way. @type {Record<Action, Partial<Deployment>>} */
const SOON = {
  pause: { state: "paused", reason: "Pausing…" },
  resume: { state: "running", reason: "Going on…" },
  abort: { state: "aborting", reason: "Being called off…" },
  rollback: { state: "rolling_back", reason: "Going back…" },
  promote: { reason: "Opening the next wave…" },
  retry: { state: "running", reason: "Trying again…" },
  approve: { state: "running", reason: "Approved; beginning…" },
  reject: { state: "rejected", reason: "Rejected." },
};

/**
 * @param {Deployment} deployment as it was looked at
 * @param {Action} action
 * @param {{ note?: string, states?: Target["state"][] }} [how]
 */
export async function steer(deployment, action, { note = "", states = [] } = {}) {
  const soon = { ...SOON[action], next_event: "", actions: [] };
  return steering.during(deployment.id, soon, async () => {
    const view = await STEER[action](deployment, note, states);
    store.dispatch(DEPLOYMENTS_CHANGED, { deployments: [view] });
    store.flush(); // before what was shown meanwhile is forgotten, or the old state would flash
    return view;
  });
}
