/** Wall clocks of time zones, and the names that the browser knows. Pure. */

/** The reader's own. */
export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** Every name, the reader's own and UTC first. */
export const zoneNames = () => [...new Set([ownZone(), "UTC", ...Intl.supportedValuesOf("timeZone")])];

/** What clocks in `zone` show at a moment, as if it were UTC. @param {number} ms @param {string} zone */
function shownAt(ms, zone) {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }).formatToParts(ms);
  const of = Object.fromEntries(parts.map(({ type, value }) => [type, value]));
  return Date.parse(`${of.year}-${of.month}-${of.day}T${of.hour}:${of.minute}:${of.second}Z`);
}

/**
 * The moment at which clocks in `zone` show `wall` (`2026-12-24T02:30`), as ISO; null where it is no time. Of a time
 * that they skip: as much later as they skip.
 *
 * @param {string} wall
 * @param {string} zone
 */
export function momentOf(wall, zone) {
  const wanted = Date.parse(`${wall}Z`);
  if (!Number.isFinite(wanted)) return null;
  try {
    const guess = wanted - (shownAt(wanted, zone) - wanted);
    return new Date(guess - (shownAt(guess, zone) - wanted)).toISOString();
  } catch {
    return null; // there is no such zone
  }
}

/** `2026-12-24T02:30`: what clocks in `zone` show at that moment. @param {string} iso @param {string} zone */
export const wallOf = (iso, zone) => new Date(shownAt(Date.parse(iso), zone)).toISOString().slice(0, 16);
