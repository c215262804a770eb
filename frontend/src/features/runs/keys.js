/** A key for one request: whoever sends it again with the same key starts nothing twice. Also where a page is not secure. */
export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
