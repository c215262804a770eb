/** One action on many devices: a few at a time, counted, and none of the failures lost. */
import { useState } from "react";
import { asProblem } from "../../lib/problem";

/** @typedef {import("../../live/rows").Device} Device */
/** @typedef {{ device: Device, problem: import("../../lib/problem").Problem }} Failure */

const AT_ONCE = 6;

/**
 * @param {Device[]} devices
 * @param {(device: Device) => Promise<unknown>} act
 * @param {(done: number) => void} onProgress
 * @returns {Promise<Failure[]>}
 */
export async function runOnEach(devices, act, onProgress) {
  /** @type {Failure[]} */
  const failures = [];
  const waiting = [...devices];
  let done = 0;
  async function work() {
    for (let device = waiting.shift(); device; device = waiting.shift()) {
      try {
        await act(device);
      } catch (error) {
        failures.push({ device, problem: asProblem(error) });
      }
      onProgress((done += 1));
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return failures;
}

export function useBulk() {
  const [running, setRunning] = useState(/** @type {{ total: number, done: number } | null} */ (null));
  const [failures, setFailures] = useState(/** @type {Failure[]} */ ([]));

  return {
    running,
    failures,
    clear: () => setFailures([]),
    /** @param {Device[]} devices @param {(device: Device) => Promise<unknown>} act @returns {Promise<boolean>} whether all went well */
    async run(devices, act) {
      setFailures([]);
      setRunning({ total: devices.length, done: 0 });
      const failed = await runOnEach(devices, act, (done) => setRunning({ total: devices.length, done }));
      setRunning(null);
      setFailures(failed);
      return failed.length === 0;
    },
  };
}
