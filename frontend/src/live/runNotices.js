/**
 * Runs that end, as whoever started them is told, unless they look at it.
 *
 * @typedef {import("./runs").Run} Run
 */
import { countsText } from "../lib/text";

const TITLE_MOST = 60;

/** @param {Run} run @returns {[import("./notices").RunKind, import("./notices").Subject]} */
export function noticeOf({ id, title, counts }) {
  const well = Object.keys(counts).every((state) => state === "succeeded");
  const name = title.length > TITLE_MOST ? `${title.slice(0, TITLE_MOST)}…` : title;
  return [well ? "run_succeeded" : "run_failed", { id, name, detail: countsText(counts) }];
}

/**
 * @param {{ store: import("./store").Store, notices: Pick<ReturnType<typeof import("./notices").createNotices>, "add">, viewer: () => Viewer | null, watches: (runId: string) => boolean }} deps
 *
 * @typedef {{ id: number, acts: boolean }} Viewer who is signed in, and whether they may do more than look
 */
export function tellOfRuns({ store, notices, viewer, watches }) {
  store.subscribe(({ ended }) => {
    const me = viewer();
    for (const run of ended) {
      if (me === null || run.user_id !== me.id || (watches(run.id) && !document.hidden)) continue;
      notices.add(...noticeOf(run));
    }
  });
}
