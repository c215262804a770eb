/** Hashes one file away from the page's own thread, a piece at a time: a large one never stands in memory as a whole. */
import { createSha256 } from "./sha256";

const PIECE_BYTES = 4 << 20;

self.addEventListener("message", async (/** @type {MessageEvent<Blob>} */ { data: file }) => {
  const hash = createSha256();
  try {
    for (let at = 0; at < file.size; at += PIECE_BYTES) {
      hash.update(new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer()));
      self.postMessage({ done: Math.min(at + PIECE_BYTES, file.size) });
    }
    self.postMessage({ hex: hash.hex() });
  } catch (error) {
    self.postMessage({ failed: error instanceof Error ? error.message : String(error) });
  }
});
