/**
 * A line of words as people type a command, and back: quotes and backslashes as in a POSIX shell, and nothing else of one:
 * no variable, no pattern, no pipe means anything.
 */

/** @param {string} line @returns {{ words: string[], problem: string | null }} */
export function splitWords(line) {
  /** @type {string[]} */
  const words = [];
  let word = /** @type {string | null} */ (null);
  let quote = "";
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at];
    if (quote) {
      if (character === quote) quote = "";
      else if (quote === '"' && character === "\\" && '"\\$`'.includes(line[at + 1] ?? "-")) word += line[(at += 1)];
      else word += character;
    } else if (character === "'" || character === '"') {
      quote = character;
      word ??= "";
    } else if (character === "\\") {
      at += 1;
      if (at === line.length) return { words, problem: "It ends with a backslash that has nothing behind it." };
      word = (word ?? "") + line[at];
    } else if (/\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + character;
  }
  if (quote) return { words, problem: `A quote is open: add the ${quote} that ends it.` };
  if (word !== null) words.push(word);
  return { words, problem: null };
}

/** @param {string} word */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** @param {string[]} words a line that splits into these again */
export const joinWords = (words) => words.map(quoted).join(" ");

/** What only a shell would understand. @param {string[]} words @returns {string | null} */
export function looksLikeShell(words) {
  const found = words.find((word) => /^(\||\|\||&&|;|>|>>|<|&)$/.test(word) || /^\$\w|^\$\(|;$/.test(word));
  return found === undefined ? null : found;
}
