/**
 * From events of presence to stretches of time. Invariant: before the first event that is known, nothing is known: that
 * is a gap, not "offline".
 *
 * @typedef {{ status: "online" | "offline" | "unknown", from: number, to: number, detail: string }} Segment times in ms
 */

export const WINDOW_DAYS = 7;
export const DAY_MS = 86_400_000;

/**
 * @param {{ status: "online" | "offline", at: string, detail: string }[]} events newest first
 * @param {{ status: "online" | "offline" | "unknown", status_since: string | null, status_detail: string }} current
 * @param {number} from
 * @param {number} to
 * @returns {Segment[]} oldest first
 */
export function segmentsOf(events, current, from, to) {
  /** @type {Segment[]} */
  const segments = [];
  /** @param {Segment["status"]} status @param {number} start @param {number} end @param {string} detail */
  const add = (status, start, end, detail) => {
    if (end > from && end > start) segments.push({ status, from: Math.max(start, from), to: end, detail });
  };
  let end = to;
  const since = current.status_since ? Date.parse(current.status_since) : NaN;
  if (since > Date.parse(events[0]?.at ?? "1970-01-01T00:00:00Z")) {
    add(current.status, since, end, current.status_detail);
    end = Math.min(end, since);
  }
  for (const { status, at, detail } of events) {
    const start = Date.parse(at);
    add(status, start, end, detail);
    end = Math.min(end, start);
    if (end <= from) break;
  }
  return segments.reverse();
}

/** @param {Segment[]} segments */
export function summary(segments) {
  let online = 0;
  let offline = 0;
  let times = 0;
  let longest = 0;
  for (const { status, from, to } of segments) {
    if (status === "online") online += to - from;
    if (status !== "offline") continue;
    offline += to - from;
    times += 1;
    longest = Math.max(longest, to - from);
  }
  const known = online + offline;
  return { share: known > 0 ? online / known : null, times, longestS: longest / 1000 };
}
