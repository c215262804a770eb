/**
 * What may be done to the rows of a draft. Invariants: of two views of one device the one with the greater `rev` stands;
 * what was removed stays removed until a greater `rev` comes; `counts` always agrees with `devices`.
 *
 * @typedef {import("./protocol").components["schemas"]} Schemas
 * @typedef {Schemas["DeviceView"]} Device
 * @typedef {Schemas["ClaimView"]} Claim
 * @typedef {Schemas["DeviceStatusChanged"]} StatusChange
 * @typedef {Partial<Schemas["DevicesChanged"]>} DevicesChanged
 * @typedef {{ total: number, online: number, offline: number, unknown: number, pending: number, quarantined: number, unverified: number }} Counts
 * @typedef {{ device: Device, from: Device["status"] | null }} Transition
 * @typedef {{ deployment: import("./deployments").Deployment, from: import("./deployments").Deployment["state"] | null }} Turn
 * @typedef {{ id: string, total: number, rows: Map<number, Device>, buffer: [string, any][] }} Staging
 *
 * @typedef {object} LiveState
 * @property {Map<number, Device>} devices
 * @property {Map<number, number>} tombstones id of a removed device → the `rev` it was removed at
 * @property {Claim[]} claims the oldest open ones
 * @property {number} moreClaims how many are open besides
 * @property {Counts} counts
 * @property {Staging | null} staging the snapshot that is arriving
 * @property {number} snapshots how many have arrived whole; nothing is known before the first
 * @property {Map<string, import("./runs").Run>} runs those that changed while this page was open, the newest
 * @property {Map<string, Map<string, import("./runs").Task>>} tasks id of a watched run → its tasks that changed meanwhile
 * @property {Map<string, import("./deployments").Deployment>} deployments those that changed while this page was open
 * @property {Map<string, Map<string, import("./deployments").Target>>} targets id of a watched deployment → its targets that changed meanwhile
 * @property {string | null} serverTime
 * @property {Schemas["SessionEnded"] | null} ended why the server is about to close the connection
 *
 * @typedef {object} Draft
 * @property {LiveState} state
 * @property {Set<number> | "all"} touched ids of rows that differ from before
 * @property {Transition[]} transitions what people are told about
 * @property {import("./runs").Run[]} ended runs that were not over before
 * @property {Turn[]} turned deployments whose state is another than before
 * @property {boolean} silent whether transitions go unmentioned
 * @property {boolean} ownRows whether `state.devices` is already this draft's own copy
 */

/** @returns {Counts} */
export const noCounts = () => ({
  total: 0,
  online: 0,
  offline: 0,
  unknown: 0,
  pending: 0,
  quarantined: 0,
  unverified: 0,
});

/** @returns {LiveState} */
export const emptyState = () => ({
  devices: new Map(),
  tombstones: new Map(),
  claims: [],
  moreClaims: 0,
  counts: noCounts(),
  staging: null,
  snapshots: 0,
  runs: new Map(),
  tasks: new Map(),
  deployments: new Map(),
  targets: new Map(),
  serverTime: null,
  ended: null,
});

/** @param {Counts} counts @param {Device | undefined} device @param {1 | -1} by */
function count(counts, device, by) {
  if (!device) return;
  counts.total += by;
  counts[device.status] += by;
  if (device.trust !== "trusted") counts[device.trust] += by;
}

/** @param {Iterable<Device>} devices */
export function countAll(devices) {
  const counts = noCounts();
  for (const device of devices) count(counts, device, 1);
  return counts;
}

/**
 * Whether two rows, or two counts, say the same. An equal `rev` alone is not enough for rows: a change of status brings
 * a `rev`, but not the whole row.
 *
 * @param {Record<string, any>} a
 * @param {Record<string, any>} b
 */
export function same(a, b) {
  for (const name in a) {
    const mine = a[name];
    const other = b[name];
    if (mine !== other && !(isRecord(mine) && isRecord(other) && same(mine, other))) return false;
  }
  for (const name in b) if (!(name in a)) return false;
  return true;
}

/** @param {unknown} value */
const isRecord = (value) => typeof value === "object" && value !== null;

/** @param {Draft} draft */
function own(draft) {
  if (draft.ownRows) return;
  draft.state.devices = new Map(draft.state.devices);
  draft.state.tombstones = new Map(draft.state.tombstones);
  draft.state.counts = { ...draft.state.counts };
  draft.ownRows = true;
}

/** @param {string | null} a @param {string | null} b */
const later = (a, b) => ((a ?? "") > (b ?? "") ? a : b);

/** @param {Draft} draft @param {Device} device */
function put(draft, device) {
  own(draft);
  const { devices, counts } = draft.state;
  const before = devices.get(device.id);
  devices.set(device.id, device);
  count(counts, before, -1);
  count(counts, device, 1);
  if (draft.touched !== "all") draft.touched.add(device.id);
  const from = before ? before.status : null;
  const told = !draft.silent && (before || !draft.state.staging); // what a snapshot may hold too did not come just now
  if (told && from !== device.status) draft.transitions.push({ device, from });
}

/** @param {Draft} draft @param {Device} view a whole row; an equal `rev` is let through, it may carry more than a change did */
function putView(draft, view) {
  const { devices, tombstones } = draft.state;
  const known = devices.get(view.id);
  const removedAt = tombstones.get(view.id);
  if (removedAt !== undefined && view.rev <= removedAt) return;
  if (known && view.rev < known.rev) return;
  if (removedAt !== undefined) {
    own(draft);
    draft.state.tombstones.delete(view.id);
  }
  put(draft, known ? { ...view, last_seen: later(known.last_seen, view.last_seen) } : view);
}

/** @param {Draft} draft @param {StatusChange} change */
function putChange(draft, change) {
  const known = draft.state.devices.get(change.id);
  if (!known || change.rev <= known.rev) return;
  put(draft, {
    ...known,
    agent_id: change.agent_id,
    device_name: change.device_name,
    status: change.status,
    status_cause: change.cause,
    status_detail: change.detail,
    status_since: change.since,
    last_seen: later(known.last_seen, change.last_seen),
    rev: change.rev,
  });
}

/** @param {Draft} draft @param {Schemas["Removed"]} removed */
function remove(draft, { id, rev }) {
  const known = draft.state.devices.get(id);
  if (known && known.rev > rev) return;
  own(draft);
  draft.state.tombstones.set(id, Math.max(rev, draft.state.tombstones.get(id) ?? 0));
  if (!known) return;
  draft.state.devices.delete(id);
  count(draft.state.counts, known, -1);
  if (draft.touched !== "all") draft.touched.add(id);
}

/** @param {Draft} draft @param {Schemas["Seen"]} seen heartbeats change no `rev` */
function putSeen(draft, { at, ids }) {
  for (const id of ids) {
    const known = draft.state.devices.get(id);
    if (!known || later(known.last_seen, at) !== at || known.last_seen === at) continue;
    own(draft);
    draft.state.devices.set(id, { ...known, last_seen: at });
    if (draft.touched !== "all") draft.touched.add(id);
  }
}

/** @param {Draft} draft @param {DevicesChanged} changed */
export function applyChanges(draft, { devices = [], changes = [], removed = [], seen = [] }) {
  for (const view of devices) putView(draft, view);
  for (const change of changes) putChange(draft, change);
  for (const gone of removed) remove(draft, gone);
  for (const beat of seen) putSeen(draft, beat);
}
