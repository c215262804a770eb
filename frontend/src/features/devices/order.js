/**
 * Which rows a view shows, and in what order, kept up to date by what changed instead of being made anew.
 *
 * Invariants: a row is in `ids` exactly when it matches the view *now*; `ids` is sorted by the keys its rows had when they
 * were placed (`placed`), so a row whose key changes stays where it is and is in `moved` until the next sort.
 *
 * @typedef {import("../../live/rows").Device} Device
 * @typedef {import("./view").View} View
 * @typedef {{ ids: number[], placed: Map<number, string>, moved: ReadonlySet<number> }} Order
 */
import { naturalKey } from "../../lib/text";
import { columnOf } from "./columns";
import { matcher } from "./view";

/** @type {ReadonlySet<number>} */
const NONE = new Set();

/** @param {View} view @returns {(device: Device) => string} names, then ids, decide between equals */
function keyOf(view) {
  const primary = columnOf(view.sort.column)?.key ?? (() => "");
  const byName = view.sort.column === "name";
  return (device) => `${primary(device)}\u0000${byName ? "" : naturalKey(device.device_name)}\u0000${device.id}`;
}

/** @param {View} view @returns {(a: [string, number], b: [string, number]) => number} */
function comparer({ sort }) {
  const sign = sort.descending ? -1 : 1;
  return ([a], [b]) => (a < b ? -sign : a > b ? sign : 0);
}

/** @param {ReadonlyMap<number, Device>} devices @param {View} view @returns {Order} */
export function build(devices, view) {
  const matches = matcher(view);
  const key = keyOf(view);
  /** @type {[string, number][]} */
  const rows = [];
  for (const device of devices.values()) if (matches(device)) rows.push([key(device), device.id]);
  rows.sort(comparer(view));
  return { ids: rows.map(([, id]) => id), placed: new Map(rows.map(([at, id]) => [id, at])), moved: NONE };
}

/**
 * @param {Order} order
 * @param {ReadonlyMap<number, Device>} devices
 * @param {Iterable<number>} touched
 * @param {View} view
 * @param {ReadonlyMap<number, Device>} before the devices as they were
 * @returns {Order} the same object when nothing about it changed
 */
export function update(order, devices, touched, view, before) {
  const matches = matcher(view);
  const key = keyOf(view);
  /** @type {Set<number>} */
  const leaving = new Set();
  /** @type {[string, number][]} */
  const entering = [];
  const moved = new Set(order.moved);
  for (const id of touched) {
    const device = devices.get(id);
    const at = order.placed.get(id);
    if (!device || !matches(device)) {
      if (at !== undefined) leaving.add(id);
      moved.delete(id);
    } else if (at === undefined) entering.push([key(device), id]);
    else if (key(device) === at) moved.delete(id);
    else if (view.sort.column !== "seen" || before.get(id)?.rev !== device.rev) moved.add(id); // heartbeats are no change
  }
  const sameMoved = moved.size === order.moved.size && [...moved].every((id) => order.moved.has(id));
  if (leaving.size === 0 && entering.length === 0) return sameMoved ? order : { ...order, moved };
  return { ...merge(order, leaving, entering.sort(comparer(view)), view), moved: sameMoved ? order.moved : moved };
}

/** @param {Order} order @param {Set<number>} leaving @param {[string, number][]} entering sorted @param {View} view */
function merge(order, leaving, entering, view) {
  const compare = comparer(view);
  const placed = new Map(order.placed);
  for (const id of leaving) placed.delete(id);
  for (const [at, id] of entering) placed.set(id, at);
  /** @type {number[]} */
  const ids = [];
  let next = 0;
  for (const id of order.ids) {
    if (leaving.has(id)) continue;
    const here = /** @type {[string, number]} */ ([order.placed.get(id), id]);
    while (next < entering.length && compare(entering[next], here) < 0) ids.push(entering[next++][1]);
    ids.push(id);
  }
  while (next < entering.length) ids.push(entering[next++][1]);
  return { ids, placed };
}

/**
 * The order of one view, following the store while somebody watches it.
 *
 * @param {import("../../live/store").Store} store
 * @param {View} view
 */
export function createOrder(store, view) {
  let devices = store.get().devices;
  let order = build(devices, view);
  /** @type {Set<() => void>} */
  const listeners = new Set();
  /** @type {(() => void) | undefined} */
  let unsubscribe;

  /** @param {Order} next */
  function become(next) {
    if (next === order) return;
    order = next;
    listeners.forEach((listener) => listener());
  }

  function resort() {
    devices = store.get().devices;
    become(build(devices, view));
  }

  /** @type {import("../../live/store").Listener} */
  function follow({ state, touched }, before) {
    devices = state.devices;
    become(touched === "all" ? build(devices, view) : update(order, devices, touched, view, before.devices));
  }

  return {
    get: () => order,
    resort,
    /** @param {() => void} listener */
    subscribe(listener) {
      listeners.add(listener);
      if (!unsubscribe) {
        unsubscribe = store.subscribe(follow);
        if (store.get().devices !== devices) resort();
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        unsubscribe?.();
        unsubscribe = undefined;
      };
    },
  };
}
