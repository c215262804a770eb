/** The SHA-256 of a file, computed beside the page. */

const openWorker = () => new Worker(new URL("./hashWorker.js", import.meta.url), { type: "module" });

/**
 * @param {Blob} file
 * @param {(done: number) => void} onProgress bytes so far
 * @param {AbortSignal} signal
 * @param {() => Worker} [open]
 * @returns {Promise<string>} rejected with the signal's reason, or with why the file cannot be read
 */
export function hashFile(file, onProgress, signal, open = openWorker) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const worker = open();
    /** @param {() => void} settle */
    function end(settle) {
      worker.terminate();
      signal.removeEventListener("abort", stop);
      settle();
    }
    const stop = () => end(() => reject(signal.reason));
    signal.addEventListener("abort", stop);
    worker.onmessage = ({ data }) => {
      if (data.hex) end(() => resolve(data.hex));
      else if (data.failed) end(() => reject(new Error(`The file cannot be read: ${data.failed}`)));
      else onProgress(data.done);
    };
    worker.onerror = () => end(() => reject(new Error("The part of the page that hashes the file did not start.")));
    worker.postMessage(file);
  });
}
