/** How each notice looks, and where it leads. */

/** The state whose colour and icon each kind of notice has. @type {Record<import("../../live/notices").Kind, string>} */
export const NOTICE_STATE = {
  connected: "online",
  disconnected: "offline",
  pending: "pending",
  run_succeeded: "trusted",
  run_failed: "offline",
  deployment_succeeded: "trusted",
  deployment_failed: "offline",
  deployment_paused: "pending",
  deployment_approval: "pending",
};

/** The page of what a notice is about; null when it is about several devices. @param {import("../../live/notices").Notice} notice */
export function placeOf({ kind, subjects }) {
  const id = subjects.length === 1 ? String(subjects[0].id) : null;
  if (kind.startsWith("run_")) return id ? { to: "/runs/$runId", params: { runId: id } } : { to: "/runs" };
  if (kind.startsWith("deployment_"))
    return id ? { to: "/deployments/$deploymentId", params: { deploymentId: id } } : { to: "/deployments" };
  return id ? { to: "/devices/$deviceId", params: { deviceId: id } } : null;
}
