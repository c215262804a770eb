/** Picked devices in an address. Pure. */

/** "1-20,24": many picked devices are short in an address. @param {number[]} ids */
export function idsText(ids) {
  const sorted = [...new Set(ids)].sort((a, b) => a - b);
  /** @type {string[]} */
  const parts = [];
  for (let at = 0; at < sorted.length;) {
    let last = at;
    while (sorted[last + 1] === sorted[last] + 1) last += 1;
    parts.push(last === at ? String(sorted[at]) : `${sorted[at]}-${sorted[last]}`);
    at = last + 1;
  }
  return parts.join(",");
}

const RANGE = /^(\d{1,10})(?:-(\d{1,10}))?$/;
/** More than a server has; what an address says beyond it is nonsense. */
const IDS_MOST = 200_000;

/** @param {string} text */
export function idsFrom(text) {
  /** @type {number[]} */
  const ids = [];
  for (const part of text.split(",")) {
    const match = RANGE.exec(part.trim());
    if (!match) continue;
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    for (let id = first; id <= last && ids.length < IDS_MOST; id += 1) ids.push(id);
  }
  return ids;
}
