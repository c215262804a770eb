/**
 * The plot's numbers: the server's points, and the live one at the end.
 *
 * @typedef {{ times: number[], online: (number | null)[], total: (number | null)[] }} Series times in s since the epoch
 * @typedef {{ at: number, online: number, total: number }} LivePoint `at` in ms since the epoch
 */
import { formatCount } from "../../lib/text";

/** @param {{ step_s: number, points: any[] }} history @param {LivePoint | null} live @returns {Series} */
export function seriesOf({ step_s, points }, live) {
  /** @type {Series} */
  const series = { times: [], online: [], total: [] };
  for (const [at, online, total] of points) {
    series.times.push(Date.parse(at) / 1000);
    series.online.push(online);
    series.total.push(total);
  }
  if (!live) return series;
  const last = series.times.at(-1);
  const at = live.at / 1000;
  if (last !== undefined && at - last > 2 * step_s) append(series, last + step_s, null, null);
  if (last === undefined || at > last) append(series, at, live.online, live.total);
  return series;
}

/** @param {Series} series @param {number} at @param {number | null} online @param {number | null} total */
function append(series, at, online, total) {
  series.times.push(at);
  series.online.push(online);
  series.total.push(total);
}

/** @param {Series} series */
export function lowest({ online }) {
  const known = online.filter((value) => value !== null);
  return known.length ? formatCount(Math.min(...known)) : "not recorded";
}
