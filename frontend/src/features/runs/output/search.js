/**
 * Finding text in rows. A line that was broken into several rows is searched as one.
 *
 * @typedef {{ row: number, at: number, length: number }} Match `length` may reach into the rows after it
 */
export const MATCHES_MOST = 5000;

/**
 * @param {import("./ansi").Row[]} rows
 * @param {string} wanted upper and lower case are the same
 * @returns {Match[]} at most MATCHES_MOST
 */
export function findIn(rows, wanted) {
  const needle = wanted.toLowerCase();
  /** @type {Match[]} */
  const found = [];
  if (!needle) return found;
  for (let first = 0; first < rows.length;) {
    let last = first;
    while (rows[last].open && last + 1 < rows.length) last += 1;
    const text = last === first ? rows[first].text : textOf(rows.slice(first, last + 1));
    const lower = text.toLowerCase();
    for (let at = lower.indexOf(needle); at >= 0; at = lower.indexOf(needle, at + needle.length)) {
      let row = first;
      let within = at;
      while (row < last && within >= rows[row].text.length) within -= rows[row++].text.length;
      found.push({ row, at: within, length: needle.length });
      if (found.length === MATCHES_MOST) return found;
    }
    first = last + 1;
  }
  return found;
}

/** @param {import("./ansi").Row[]} rows as they are copied: one line break where the output has one */
export const textOf = (rows) =>
  rows.map(({ text, open }, index) => (open || index === rows.length - 1 ? text : `${text}\n`)).join("");
