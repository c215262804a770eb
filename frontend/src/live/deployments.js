/**
 * What may be done to the deployments and targets of a draft. Invariants: of two views of one thing the one with the
 * greater `rev` stands; both maps are bounded, because the REST API has all of them and these are only what changed
 * meanwhile.
 *
 * @typedef {import("./protocol").components["schemas"]} Schemas
 * @typedef {Schemas["DeploymentView"]} Deployment
 * @typedef {Schemas["DeploymentTargetView"]} Target
 */
import { newestFirst } from "./runs";

/** The newest deployments. */
export const DEPLOYMENTS_KEPT = 200;
/** Deployments whose targets are kept: more than one page watches at once. */
export const FOLLOWED_KEPT = 2;

/** @template {{ id: string, rev: number }} T @param {ReadonlyMap<string, T> | undefined} known @param {T[]} views */
function newest(known, views) {
  const rows = new Map(known);
  for (const view of views) if (!(Number(rows.get(view.id)?.rev) >= view.rev)) rows.set(view.id, view);
  return rows;
}

/** @param {import("./rows").Draft} draft @param {Deployment[]} views */
export function putDeployments(draft, views) {
  const before = draft.state.deployments;
  const rows = newest(before, views);
  for (const deployment of new Set(views.map(({ id }) => /** @type {Deployment} */ (rows.get(id))))) {
    const from = before.get(deployment.id)?.state ?? null;
    if (deployment.state !== from) draft.turned.push({ deployment, from });
  }
  const kept = rows.size > DEPLOYMENTS_KEPT && [...rows.values()].sort(newestFirst).slice(0, DEPLOYMENTS_KEPT);
  draft.state.deployments = kept ? new Map(kept.map((row) => [row.id, row])) : rows;
}

/** @param {import("./rows").Draft} draft @param {string} deploymentId @param {Target[]} views */
export function putTargets(draft, deploymentId, views) {
  const targets = newest(draft.state.targets.get(deploymentId), views);
  const others = [...draft.state.targets].filter(([id]) => id !== deploymentId);
  draft.state.targets = new Map([...others.slice(1 - FOLLOWED_KEPT), [deploymentId, targets]]);
}
