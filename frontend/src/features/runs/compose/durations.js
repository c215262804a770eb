/** Durations as people type them: "90", "30 s", "5 min", "2 h", "1 d". */

/** @type {Record<string, number>} */
const UNITS = { "": 1, s: 1, sec: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** @param {string} text @returns {number | null} seconds; null is none that can be read */
export function parseDuration(text) {
  const match = /^\s*(\d+(?:[.,]\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = match && UNITS[match[2].toLowerCase()];
  return match && unit ? Number(match[1].replace(",", ".")) * unit : null;
}

/** @param {number} seconds as the field shows it: the largest unit that leaves a whole number */
export function durationText(seconds) {
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`;
  if (seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds % 60 === 0) return `${seconds / 60} min`;
  return `${seconds} s`;
}
