/**
 * A row cut into pieces that are painted alike.
 *
 * @typedef {{ text: string, style: import("./ansi").Style | null, found: "no" | "yes" | "current" }} Span
 */

/**
 * @param {string} text
 * @param {import("./ansi").Mark[] | null} marks
 * @param {{ at: number, length: number, current: boolean }[]} matches in their order
 * @returns {Span[]}
 */
export function spansOf(text, marks, matches) {
  const edges = new Set([0, text.length]);
  for (const { at } of marks ?? []) edges.add(Math.min(at, text.length));
  for (const { at, length } of matches) edges.add(at).add(Math.min(text.length, at + length));
  const sorted = [...edges].sort((a, b) => a - b);
  /** @type {Span[]} */
  const spans = [];
  for (let index = 0; index + 1 < sorted.length; index += 1) {
    const from = sorted[index];
    const match = matches.find(({ at, length }) => at <= from && from < at + length);
    const style = marks?.findLast(({ at }) => at <= from)?.style ?? null;
    spans.push({
      text: text.slice(from, sorted[index + 1]),
      style,
      found: match ? (match.current ? "current" : "yes") : "no",
    });
  }
  return spans;
}
