/** Selectors as text. Their grammar is the server's (`docs/selectors.md`); here a value is only written so that it reads back. */

const WORD = /^[\w.:/@+~%-]+$/;

/** @param {string} text as a value, or as the name of a tag: in quotes unless it is a plain word */
export const valueOf = (text) => (WORD.test(text) ? text : `"${text.replace(/[\\"*]/g, "\\$&")}"`);

/** @param {string} name */
export const groupSelector = (name) => `group=${valueOf(name)}`;

/** Around the character that is wrong: before it, itself, after it. @param {string} selector @param {number} position from 1 @returns {[string, string, string]} */
export function around(selector, position) {
  const characters = [...selector]; // the server counts characters, not halves of them
  const at = Math.min(position, characters.length + 1) - 1;
  return [characters.slice(0, at).join(""), characters[at] ?? "", characters.slice(at + 1).join("")];
}
