/**
 * Every event of the dashboard's socket: its name, and the pure reducer that it is. A golden test holds the names to
 * `protocol/deployx_protocol/events.py`.
 *
 * Invariant (the snapshot rule): what changes between `snapshot_begin` and `snapshot_end` is applied at once *and* kept;
 * at the end the rows become the snapshot's and what was kept is applied again. So snapshot + events = fresh snapshot,
 * in whatever order they were interleaved.
 *
 * @typedef {import("./rows").Draft} Draft
 * @typedef {import("./rows").LiveState} LiveState
 * @typedef {import("./rows").Schemas} Schemas
 */
import { putDeployments, putTargets } from "./deployments";
import { applyChanges, countAll, same } from "./rows";
import { putRuns, putTasks } from "./runs";

/** What the dashboard sends. */
export const WATCH = "watch";
export const WATCH_RUN = "watch_run";
export const UNWATCH_RUN = "unwatch_run";
export const WATCH_DEPLOYMENT = "watch_deployment";
export const UNWATCH_DEPLOYMENT = "unwatch_deployment";

/** What an answer of the REST API is told to the store as. */
export const DEVICES_CHANGED = "devices_changed";
export const CLAIMS_CHANGED = "claims_changed";
export const RUNS_CHANGED = "runs_changed";
export const TASKS_CHANGED = "tasks_changed";
export const DEPLOYMENTS_CHANGED = "deployments_changed";
export const DEPLOYMENT_TARGETS_CHANGED = "deployment_targets_changed";

/** Asks for a snapshot: changes that arrive while one is on its way must outlive it. @param {Draft} draft @param {string} name @param {any} payload */
function keep(draft, name, payload) {
  draft.state.staging?.buffer.push([name, payload]);
}

/** @type {Record<string, (draft: Draft, payload: any) => void>} */
export const EVENTS = {
  device_status_changed(draft, payload) {
    EVENTS[DEVICES_CHANGED](draft, { changes: [payload] });
  },

  [DEVICES_CHANGED](draft, payload) {
    keep(draft, DEVICES_CHANGED, payload);
    applyChanges(draft, payload);
  },

  [CLAIMS_CHANGED](draft, payload) {
    keep(draft, CLAIMS_CHANGED, payload);
    draft.state.claims = payload.claims;
    draft.state.moreClaims = payload.more_claims;
  },

  snapshot_begin(draft, payload) {
    draft.state.staging = { id: payload.snapshot_id, total: payload.total, rows: new Map(), buffer: [] };
    draft.state.serverTime = payload.server_time;
    draft.state.ended = null;
  },

  snapshot_devices(draft, payload) {
    const { staging } = draft.state;
    if (staging?.id !== payload.snapshot_id) return;
    for (const device of payload.devices) {
      const known = staging?.rows.get(device.id);
      if (!known || known.rev <= device.rev) staging?.rows.set(device.id, device);
    }
  },

  snapshot_end(draft, payload) {
    const { state } = draft;
    const { staging } = state;
    if (!staging || staging.id !== payload.snapshot_id) return;
    state.devices = sameRowsKept(staging.rows, state.devices);
    state.tombstones = new Map([...state.tombstones].filter(([id]) => !staging.rows.has(id)));
    state.claims = payload.claims;
    state.moreClaims = payload.more_claims;
    state.counts = countAll(state.devices.values());
    state.staging = null;
    state.snapshots += 1;
    draft.ownRows = true;
    draft.touched = "all";
    const { silent } = draft;
    draft.silent = true; // whoever watched was told when these arrived
    for (const [name, kept] of staging.buffer) EVENTS[name](draft, kept);
    draft.silent = silent;
  },

  [RUNS_CHANGED](draft, payload) {
    putRuns(draft, payload.runs);
  },

  [TASKS_CHANGED](draft, payload) {
    putTasks(draft, payload.run_id, payload.tasks);
  },

  [DEPLOYMENTS_CHANGED](draft, payload) {
    putDeployments(draft, payload.deployments);
  },

  [DEPLOYMENT_TARGETS_CHANGED](draft, payload) {
    putTargets(draft, payload.deployment_id, payload.targets);
  },

  session_ended(draft, payload) {
    draft.state.ended = payload;
  },
};

/**
 * Rows that did not change stay the same objects, so that a resynchronised list repaints nothing.
 *
 * @param {LiveState["devices"]} fresh
 * @param {LiveState["devices"]} before
 */
function sameRowsKept(fresh, before) {
  const rows = new Map();
  for (const [id, row] of fresh) {
    const old = before.get(id);
    rows.set(id, old && same(old, row) ? old : row);
  }
  return rows;
}

/**
 * The state after `events`, and what it takes to tell others about it. Pure: `state` is left as it was, but for the
 * snapshot that is still arriving, which nobody else sees.
 *
 * @param {LiveState} state
 * @param {[string, any][]} events
 * @returns {Draft}
 */
export function reduce(state, events) {
  /** @type {Draft} */
  const draft = {
    state: { ...state },
    touched: new Set(),
    transitions: [],
    ended: [],
    turned: [],
    silent: false,
    ownRows: false,
  };
  for (const [name, payload] of events) EVENTS[name]?.(draft, payload);
  if (same(draft.state.counts, state.counts)) draft.state.counts = state.counts;
  return draft;
}
