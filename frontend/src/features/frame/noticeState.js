/** How each notice looks, and where it leads. */

/** The state whose colour and icon each kind of notice has. @type {Record<import("../../live/notices").Kind, string>} */
export const NOTICE_STATE = {
  connected: "online",
  disconnected: "offline",
  pending: "pending",
  run_succeeded: "trusted",
  run_failed: "offline",
};

/** The page of the one thing that a notice is about; null when it is about several. @param {import("../../live/notices").Notice} notice */
export function placeOf({ subjects, runId }) {
  if (runId) return { to: "/runs/$runId", params: { runId } };
  return subjects.length === 1 ? { to: "/devices/$deviceId", params: { deviceId: String(subjects[0].id) } } : null;
}
