/** The few devices that a text means best, found in one pass: the palette asks at every key. */
import { naturalKey } from "../../lib/text";
import { haystack, termsOf } from "../devices/view";

const MOST = 8;

/** @typedef {import("../../live/rows").Device} Device */

/**
 * @param {string} text
 * @param {ReadonlyMap<number, Device>} devices
 * @returns {{ found: Device[], total: number }} names that begin with the text first, then by name; how many match in all
 */
export function findDevices(text, devices) {
  const terms = termsOf(text);
  if (terms.length === 0) return { found: [], total: 0 };
  /** @type {[string, Device][]} */
  const best = [];
  let total = 0;
  for (const device of devices.values()) {
    const name = haystack(device);
    if (!terms.every((term) => name.includes(term))) continue;
    total += 1;
    const key = `${name.startsWith(terms[0]) ? 0 : 1}${naturalKey(device.device_name)}`;
    const at = best.findIndex(([other]) => key < other);
    if (at >= 0) best.splice(at, 0, [key, device]);
    else if (best.length < MOST) best.push([key, device]);
    if (best.length > MOST) best.pop();
  }
  return { found: best.map(([, device]) => device), total };
}
