/** Words and the order of words. */

/** @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) => `${formatCount(count)} ${count === 1 ? one : many}`;

const countFormat = new Intl.NumberFormat("en");

/** @param {number} count */
export const formatCount = (count) => countFormat.format(count);

const NAME_MAX = 40;

/** As much of a long name as a sentence can bear. @param {string} name */
export const shortened = (name) => (name.length > NAME_MAX ? `${name.slice(0, NAME_MAX - 1)}…` : name);

/**
 * "web-1, web-2 and 10 more".
 *
 * @param {string[]} names
 * @param {number} [shown]
 */
export function listNames(names, shown = 3) {
  if (names.length <= 1) return names[0] ?? "";
  if (names.length <= shown) return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `${names.slice(0, shown).join(", ")} and ${formatCount(names.length - shown)} more`;
}

/** "35 succeeded, 2 timed out". @param {Record<string, number>} counts how many are in which state */
export const countsText = (counts) =>
  Object.entries(counts)
    .map(([state, count]) => `${formatCount(count)} ${state.replaceAll("_", " ")}`)
    .join(", ");

const DIGITS = /\d+/g;

/**
 * A key whose plain `<` order is the natural one (web-2 before web-10): comparing 10,000 of these takes a tenth of what a
 * collator takes.
 *
 * @param {string} text
 */
export const naturalKey = (text) => text.toLowerCase().replace(DIGITS, (digits) => digits.padStart(12, "0"));

/** @param {number} bytes */
export function formatBytes(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (Math.round(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 9.95 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
