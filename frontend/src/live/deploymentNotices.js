/**
 * Deployments that end, stop or wait for a yes, as those are told whom it concerns: who started it, who looked at it since
 * the page was opened, and of what waits for approval whoever may give it. Nobody is told of what they look at.
 *
 * @typedef {import("./deployments").Deployment} Deployment
 * @typedef {import("./notices").DeploymentKind} Kind
 * @typedef {import("./runNotices").Viewer} Viewer
 */
import { now } from "../lib/clock";
import { countsText, plural } from "../lib/text";

/** A deployment that was never heard of is news if what is to be told of happened within this time. */
export const JUST_NOW_MS = 10_000;

/** @type {Partial<Record<Deployment["state"], Kind>>} */
const KINDS = {
  awaiting_approval: "deployment_approval",
  paused: "deployment_paused",
  succeeded: "deployment_succeeded",
  failed: "deployment_failed",
  rejected: "deployment_failed",
  aborted: "deployment_failed",
  rolled_back: "deployment_failed",
};

/** @type {Partial<Record<Deployment["state"], string>>} */
const ENDS = {
  succeeded: "succeeded",
  failed: "failed",
  rejected: "was rejected",
  aborted: "was aborted",
  rolled_back: "was rolled back",
};

/** @param {Deployment} deployment @returns {[Kind, import("./notices").Subject] | null} null: there is nothing to tell */
export function noticeOf({ id, title, state, reason, counts, total, created_by, approval }) {
  const kind = KINDS[state];
  if (!kind) return null;
  if (kind === "deployment_paused") return [kind, { id, name: title, detail: reason }];
  if (kind === "deployment_approval")
    return [kind, { id, name: title, detail: `${created_by} wants it on ${plural(total, "device")}` }];
  const why = state === "rejected" ? approval.note : countsText(counts);
  return [kind, { id, name: title, detail: `${ENDS[state]}${why ? `: ${why}` : ""}` }];
}

/** @param {import("./rows").Turn} turn @param {number} nowMs whether it happened just now, as far as can be told */
function isNews({ deployment: { state, created_at, finished_at }, from }, nowMs) {
  if (from !== null) return true;
  const at = finished_at ?? (state === "awaiting_approval" ? created_at : null);
  return at !== null && nowMs - Date.parse(at) < JUST_NOW_MS;
}

/**
 * @param {{ store: import("./store").Store, notices: Pick<ReturnType<typeof import("./notices").createNotices>, "add">, viewer: () => Viewer | null, watches: (id: string) => boolean, watched: (id: string) => boolean }} deps
 * `watches`: it is on this page; `watched`: it was
 */
export function tellOfDeployments({ store, notices, viewer, watches, watched }) {
  /** @param {Deployment} deployment @param {Viewer} me */
  function concerns({ id, user_id, state }, me) {
    if (state === "awaiting_approval") return user_id !== me.id && me.acts;
    return user_id === me.id || watched(id);
  }
  store.subscribe(({ turned }) => {
    const me = viewer();
    for (const turn of turned) {
      const { deployment } = turn;
      if (me === null || !concerns(deployment, me) || !isNews(turn, now())) continue;
      if (watches(deployment.id) && !document.hidden) continue;
      const notice = noticeOf(deployment);
      if (notice) notices.add(...notice);
    }
  });
}
