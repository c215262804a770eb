/**
 * Devices that come and go, and runs and deployments that turn, as people are told of it. Several of one kind within two
 * seconds of each other become one notice, which grows for ten seconds at most. Invariant: only what a live connection reported is told; snapshots and reconnects are silent, and so is a
 * server that counts its agents again after it was down.
 *
 * @typedef {"connected" | "disconnected" | "pending"} DeviceKind
 * @typedef {"run_succeeded" | "run_failed"} RunKind
 * @typedef {"deployment_succeeded" | "deployment_failed" | "deployment_paused" | "deployment_approval"} DeploymentKind
 * @typedef {DeviceKind | RunKind | DeploymentKind} Kind
 * @typedef {{ id: number | string, name: string, detail: string }} Subject
 * @typedef {{ key: string, kind: Kind, at: string, subjects: Subject[], read: boolean, latestMs: number }} Notice
 */
import { createAtom } from "../lib/atom";
import { now } from "../lib/clock";
import { listNames, plural } from "../lib/text";

export const GROUP_MS = 2000;
export const GROUP_MAX_MS = 10_000;
/** A device that is listed for the first time is told of only if it came online as recently as this: else it was handed over. */
export const NEWS_MS = 10_000;
const KEPT = 200;

/** The specification's name for each kind. @type {Record<Kind, string>} */
export const TITLES = {
  connected: "Agent Connected",
  disconnected: "Agent Disconnected",
  pending: "Agent Waiting",
  run_succeeded: "Run Succeeded",
  run_failed: "Run Failed",
  deployment_succeeded: "Deployment Succeeded",
  deployment_failed: "Deployment Failed",
  deployment_paused: "Deployment Paused",
  deployment_approval: "Deployment Waiting",
};

/** What is said of one, after its name, and of several. @type {Record<Kind, [(detail: string) => string, string, string]>} */
const WORDS = {
  connected: [() => " came online", "device", "came online"],
  disconnected: [(detail) => ` went offline${detail ? `: ${detail}` : ""}`, "device", "went offline"],
  pending: [() => " is waiting to be accepted", "device", "are waiting to be accepted"],
  run_succeeded: [(detail) => ` is over: ${detail}`, "run", "are over"],
  run_failed: [(detail) => ` is over: ${detail}`, "run", "are over, not all went well"],
  deployment_succeeded: [(detail) => ` ${detail}`, "deployment", "succeeded"],
  deployment_failed: [(detail) => ` ${detail}`, "deployment", "are over, and did not succeed"],
  deployment_paused: [(detail) => ` is paused${detail ? `: ${detail}` : ""}`, "deployment", "are paused"],
  deployment_approval: [
    (detail) => ` waits for approval${detail ? `: ${detail}` : ""}`,
    "deployment",
    "wait for approval",
  ],
};

/** @param {import("./rows").Transition} transition @param {number} nowMs @returns {DeviceKind | null} null when nobody needs to be told */
export function kindOf({ device, from }, nowMs) {
  if (from === null && device.trust === "pending") return "pending";
  if (from === null && !(nowMs - Date.parse(device.status_since ?? "") <= NEWS_MS)) return null;
  if (device.status === "online") return from === "unknown" ? null : "connected";
  if (device.status === "offline" && from !== null)
    return device.status_cause === "server_shutdown" ? null : "disconnected";
  return null;
}

/** @param {Notice} notice */
export function sentence({ kind, subjects }) {
  const [first] = subjects;
  const [ofOne, noun, ofMany] = WORDS[kind];
  return subjects.length === 1 ? `${first.name}${ofOne(first.detail)}` : `${plural(subjects.length, noun)} ${ofMany}`;
}

/** @param {Notice} notice */
export const names = ({ subjects }) => (subjects.length > 1 ? listNames(subjects.map(({ name }) => name)) : "");

/**
 * @param {Notice[]} list newest first
 * @param {import("./rows").Transition[]} transitions
 * @param {number} nowMs
 */
export function addTransitions(list, transitions, nowMs) {
  const told = transitions.flatMap((transition) => {
    const kind = kindOf(transition, nowMs);
    const { id, device_name: name, status_detail: detail } = transition.device;
    return kind ? [{ kind, subject: { id, name, detail } }] : [];
  });
  return addTold(list, told, nowMs);
}

/**
 * @param {Notice[]} list newest first
 * @param {{ kind: Kind, subject: Subject }[]} told
 * @param {number} nowMs
 * @returns {{ list: Notice[], changed: Notice[] }} the list, and those that are new or grew
 */
export function addTold(list, told, nowMs) {
  /** @type {Map<Kind, Notice>} */
  const open = new Map();
  for (const notice of list) {
    const grows = nowMs - notice.latestMs <= GROUP_MS && nowMs - Date.parse(notice.at) < GROUP_MAX_MS;
    if (grows && !open.has(notice.kind)) open.set(notice.kind, notice);
  }
  /** @type {Map<string, Notice>} */
  const changed = new Map();
  for (const { kind, subject } of told) {
    const group = open.get(kind);
    /** @type {Notice} */
    const grown = group
      ? { ...group, read: false, latestMs: nowMs, subjects: withSubject(group, subject, changed.has(group.key)) }
      : {
          key: `${kind}-${nowMs}-${subject.id}`,
          kind,
          at: new Date(nowMs).toISOString(),
          subjects: [subject],
          read: false,
          latestMs: nowMs,
        };
    open.set(kind, grown);
    changed.set(grown.key, grown);
  }
  if (changed.size === 0) return { list, changed: [] };
  const kept = list.filter(({ key }) => !changed.has(key));
  return { list: [...[...changed.values()].reverse(), ...kept].slice(0, KEPT), changed: [...changed.values()] };
}

/** @param {Notice} group @param {Subject} subject @param {boolean} ours whether this turn already copied the subjects */
function withSubject(group, subject, ours) {
  const subjects = ours ? group.subjects : [...group.subjects];
  if (!subjects.some(({ id }) => id === subject.id)) subjects.push(subject);
  return subjects;
}

/** @param {{ store: import("./store").Store, log: typeof import("./log").log }} deps */
export function createNotices({ store, log }) {
  /** @type {import("../lib/atom").Atom<Notice[]>} */
  const atom = createAtom(/** @type {Notice[]} */ ([]));
  /** @type {Set<(changed: Notice[]) => void>} */
  const watchers = new Set();

  store.subscribe(({ state, transitions }, before) => {
    for (const { device } of transitions) log.statusChanged(device.device_name, device.status);
    if (state.counts !== before.counts) log.statsUpdated();
    const nowMs = now();
    const { list, changed } = addTransitions(atom.get(), transitions, nowMs);
    for (const transition of transitions) {
      const kind = kindOf(transition, nowMs);
      if (kind) log.notification(TITLES[kind]);
    }
    atom.set(list);
    if (changed.length) watchers.forEach((watcher) => watcher(changed));
  });

  return {
    ...atom,
    /** @param {(changed: Notice[]) => void} watcher hears of each notice when it is new and when it grows */
    onChange(watcher) {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    /** What is told of anything else. @param {Kind} kind @param {Subject} subject */
    add(kind, subject) {
      log.notification(TITLES[kind]);
      const { list, changed } = addTold(atom.get(), [{ kind, subject }], now());
      atom.set(list);
      watchers.forEach((watcher) => watcher(changed));
    },
    markRead: () =>
      atom.set((list) => (list.some(({ read }) => !read) ? list.map((notice) => ({ ...notice, read: true })) : list)),
    clear: () => atom.set([]),
  };
}
