/**
 * Lists of deployments and of their devices that were read in pages, with what changed since on top. Pure. Invariants: of
 * two views of one thing the greater `rev` is shown; nothing is shown beyond the last page that was read, because what
 * stands between is not known.
 *
 * @typedef {import("../../live/deployments").Deployment} Deployment
 * @typedef {import("../../live/deployments").Target} Target
 */
import { newestFirst } from "../../live/runs";
import { mergeRows } from "../runs/merge";

/** The same question as the server's. @param {import("./api").DeploymentFilter} filter @returns {(row: Deployment) => boolean} */
const deploymentMatcher =
  ({ state, name }) =>
  (row) =>
    (!state || state.includes(row.state)) && (!name || row.release_name === name);

/**
 * @param {Deployment[]} read newest first
 * @param {ReadonlyMap<string, Deployment>} live
 * @param {import("./api").DeploymentFilter} filter
 * @param {boolean} more whether there are older ones that were not read
 */
export function mergeDeployments(read, live, filter, more) {
  const oldest = read.at(-1)?.id ?? "";
  return mergeRows(read, live, deploymentMatcher(filter), ({ id }) => !more || id >= oldest).sort(newestFirst);
}

/** @param {import("./api").TargetFilter} filter @returns {(row: Target) => boolean} */
function targetMatcher({ state, wave, attention, q }) {
  const text = q?.trim().toLowerCase() ?? "";
  return (row) =>
    (!state || row.state === state) &&
    (!wave || row.wave === wave) &&
    (!attention || row.attention) &&
    (!text || row.device_name.toLowerCase().includes(text));
}

/**
 * @param {Target[]} read in the order of their turns
 * @param {ReadonlyMap<string, Target> | undefined} live
 * @param {import("./api").TargetFilter} filter
 * @param {boolean} more
 */
export function mergeTargets(read, live, filter, more) {
  const last = read.at(-1)?.position ?? 0;
  const rows = mergeRows(read, live, targetMatcher(filter), ({ position }) => !more || position <= last);
  return rows.sort((a, b) => a.position - b.position);
}

/** The devices of each wave. @param {Target[]} targets @returns {Map<number, Target[]>} */
export function byWave(targets) {
  /** @type {Map<number, Target[]>} */
  const waves = new Map();
  for (const target of targets) {
    const wave = waves.get(target.wave);
    if (wave) wave.push(target);
    else waves.set(target.wave, [target]);
  }
  return waves;
}
