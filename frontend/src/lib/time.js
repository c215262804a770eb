/** Times and durations in words. */
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** @param {string} iso the exact time in the reader's zone */
export const exactTime = (iso) => exactFormat.format(new Date(iso));

/**
 * "just now", "42 s ago", "5 min ago", "3 h ago", "2 d ago", then the date; "in 3 h" for what is to come.
 *
 * @param {string} iso
 * @param {number} nowMs
 */
export function relativeTime(iso, nowMs) {
  const at = Date.parse(iso);
  if (!Number.isFinite(at)) return "at an unknown time";
  const seconds = Math.round((nowMs - at) / 1000);
  if (Math.abs(seconds) < 5) return "just now";
  if (Math.abs(seconds) >= 30 * DAY) return dayFormat.format(at);
  if (seconds > 0) return `${duration(seconds)} ago`;
  return `in ${duration(-seconds < MINUTE ? -seconds : -seconds + MINUTE - 1)}`; // a day less a second is a day
}

/**
 * How long something has lasted: "for 42 s", "for 3 h", then "since" the date.
 *
 * @param {string} iso
 * @param {number} nowMs
 */
export function elapsedTime(iso, nowMs) {
  const seconds = (nowMs - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds)) return "since an unknown time";
  return seconds >= 30 * DAY ? `since ${dayFormat.format(Date.parse(iso))}` : `for ${duration(seconds)}`;
}

/**
 * One unit, rounded down: a device that has been away for 119 s has been away for 1 min.
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} h`;
  return `${Math.floor(whole / DAY)} d`;
}
