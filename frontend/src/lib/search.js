/** The part of an address behind `?`, as plain text: every value is a string, and commas stay readable. */

/** @param {string} text @returns {Record<string, string>} */
export const parseSearch = (text) => Object.fromEntries(new URLSearchParams(text));

/** @param {Record<string, unknown>} search what is undefined or empty is left out */
export function stringifySearch(search) {
  const given = Object.entries(search).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text.replaceAll("%2C", ",")}`;
}
