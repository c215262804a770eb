/**
 * Which rows are selected. `anchor` is the row from which shift selects.
 *
 * @typedef {{ ids: ReadonlySet<number>, anchor: number | null }} Selection
 */

/** @type {Selection} */
export const NOTHING = { ids: new Set(), anchor: null };

/** @param {Selection} selection @param {number} id @returns {Selection} */
export function toggle({ ids }, id) {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return { ids: next, anchor: id };
}

/** From the anchor to `id`, in the order on the screen. @param {Selection} selection @param {number} id @param {number[]} order @returns {Selection} */
export function extend({ ids, anchor }, id, order) {
  const from = anchor === null ? -1 : order.indexOf(anchor);
  const to = order.indexOf(id);
  if (from < 0 || to < 0) return { ids: new Set(ids).add(id), anchor: id };
  const next = new Set(ids);
  for (const each of order.slice(Math.min(from, to), Math.max(from, to) + 1)) next.add(each);
  return { ids: next, anchor };
}

/** @param {number[]} order @returns {Selection} */
export const selectAll = (order) => ({ ids: new Set(order), anchor: null });

/** The selected devices that still exist. @param {Selection} selection @param {ReadonlyMap<number, import("../../live/rows").Device>} devices */
export const selectedDevices = ({ ids }, devices) => [...ids].flatMap((id) => devices.get(id) ?? []);
