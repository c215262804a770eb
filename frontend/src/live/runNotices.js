/**
 * Runs that end, as whoever started them is told: one notice for each, unless they look at it.
 *
 * @typedef {import("./runs").Run} Run
 */
import { now } from "../lib/clock";
import { formatCount } from "../lib/text";

const TITLE_MOST = 60;

/** @param {Run} run @returns {import("./notices").Notice} */
export function noticeOf(run) {
  const nowMs = now();
  const words = Object.entries(run.counts).map(
    ([state, count]) => `${formatCount(count)} ${state.replaceAll("_", " ")}`,
  );
  const well = Object.keys(run.counts).every((state) => state === "succeeded");
  const title = run.title.length > TITLE_MOST ? `${run.title.slice(0, TITLE_MOST)}…` : run.title;
  return {
    key: `run-${run.id}-${nowMs}`,
    kind: well ? "run_succeeded" : "run_failed",
    at: new Date(nowMs).toISOString(),
    subjects: [{ id: 0, name: title, detail: words.join(", ") }],
    read: false,
    latestMs: nowMs,
    runId: run.id,
  };
}

/**
 * @param {{ store: import("./store").Store, notices: { add: (notice: import("./notices").Notice) => void }, viewer: () => number | null, watches: (runId: string) => boolean }} deps
 * `viewer` is the id of who is signed in
 */
export function tellOfRuns({ store, notices, viewer, watches }) {
  store.subscribe(({ ended }) => {
    const me = viewer();
    for (const run of ended) {
      if (me === null || run.user_id !== me || (watches(run.id) && !document.hidden)) continue;
      notices.add(noticeOf(run));
    }
  });
}
