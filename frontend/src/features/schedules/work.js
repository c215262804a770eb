/**
 * What a schedule does, as it is typed: a run or a deployment. Both drafts are kept, so that a change of mind and back
 * loses nothing. Pure.
 *
 * @typedef {{ kind: "run" | "deployment", run: import("../runs/compose/draft").Draft, deployment: import("../deployments/wizard/draft").Draft }} Work
 */
import * as deployments from "../deployments/wizard/draft";
import * as runs from "../runs/compose/draft";

/** @type {Work} */
export const NO_WORK = { kind: "run", run: runs.EMPTY, deployment: deployments.EMPTY };

/** What an address asks for, such as the one that the wizard leads to. @param {Record<string, unknown>} search @returns {Work} */
export const workFrom = (search) =>
  search.kind === "deployment" ? { ...NO_WORK, kind: "deployment", deployment: deployments.draftOf(search) } : NO_WORK;

/** @param {import("./api").Schedule} schedule @returns {Work} */
export function workOf({ action }) {
  if (action.kind === "deployment")
    return { ...NO_WORK, kind: "deployment", deployment: deployments.draftFrom(/** @type {any} */ (action.request)) };
  const { request } = action;
  const { selector, device_ids } = request.targets;
  const where = selector
    ? /** @type {const} */ ({ by: "selector", selector })
    : /** @type {const} */ ({ by: "devices", ids: device_ids ?? [] });
  return { ...NO_WORK, run: { ...runs.EMPTY, ...runs.draftOf(request), ...where } };
}

/** @param {Work} work @returns {{ action: import("./api").Action | null, problems: Record<string, string> }} null: something is missing */
export function actionOf({ kind, run, deployment }) {
  if (kind === "deployment") {
    const problems = /** @type {Record<string, string>} */ (deployments.problemsOf(deployment));
    const whole = Object.keys(problems).length === 0;
    return { action: whole ? { kind, request: deployments.requestOf(deployment) } : null, problems };
  }
  const { request, problems } = runs.requestOf(run);
  return { action: request && { kind, request }, problems: /** @type {Record<string, string>} */ (problems) };
}
