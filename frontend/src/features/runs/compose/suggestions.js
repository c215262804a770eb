/** Selectors that fit the devices there are: everything, what is online, the commonest platforms and tags. */
import { fromAgent } from "../../devices/tags";
import { valueOf } from "../../groups/selectorText";

const MOST_OF_A_KIND = 3;

/** @param {string[]} texts @returns {string[]} the commonest, most first */
function commonest(texts) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, MOST_OF_A_KIND)
    .map(([text]) => text);
}

/** @param {Iterable<import("../../../live/rows").Device>} devices */
export function suggestions(devices) {
  /** @type {string[]} */
  const platforms = [];
  /** @type {string[]} */
  const tags = [];
  for (const device of devices) {
    if (device.trust !== "trusted") continue;
    if (device.platform) platforms.push(`platform=${valueOf(device.platform)}`);
    for (const [name, value] of [...Object.entries(device.tags), ...fromAgent(device)])
      tags.push(value ? `${valueOf(name)}=${valueOf(value)}` : valueOf(name));
  }
  return ["*", "status=online", ...commonest(platforms), ...commonest(tags)];
}
