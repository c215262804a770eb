/** Selectors that fit the devices there are: everything, what is online, the commonest platforms and tags. */
const MOST_OF_A_KIND = 3;

/** @param {string} text as a selector's value: quoted unless it is a plain word */
const valueOf = (text) => (/^[\w.:/@+~%-]+$/.test(text) ? text : `"${text.replace(/[\\"*]/g, "\\$&")}"`);

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
  for (const { platform, tags: own, trust } of devices) {
    if (trust !== "trusted") continue;
    if (platform) platforms.push(`platform=${valueOf(platform)}`);
    for (const [name, value] of Object.entries(own)) {
      const key = /^[\w.:/@+~%-]+$/.test(name) ? name : valueOf(name);
      tags.push(value ? `${key}=${valueOf(value)}` : key);
    }
  }
  return ["*", "status=online", ...commonest(platforms), ...commonest(tags)];
}
