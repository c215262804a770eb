/** Who is told of a run that ended, and in which words. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { setServerTime } from "../lib/clock";
import { at, golden } from "../test-support";
import { log } from "./log";
import { createNotices, sentence } from "./notices";
import { noticeOf, tellOfRuns } from "./runNotices";
import { createStore } from "./store";

const [RUN] = golden("runs_changed").runs;
const ME = 7;

function page() {
  const store = createStore({ schedule: () => {} });
  const notices = createNotices({ store, log });
  const looks = { at: "", me: /** @type {number | null} */ (ME) };
  tellOfRuns({
    store,
    notices,
    viewer: () => (looks.me === null ? null : { id: looks.me, acts: true }),
    watches: (id) => id === looks.at,
  });
  /** @param {Partial<import("./runs").Run>} fields */
  function changed(fields) {
    store.dispatch("runs_changed", { runs: [{ ...RUN, user_id: ME, ...fields }] });
    store.flush();
  }
  return { notices, looks, changed };
}

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  setServerTime(at(0));
});
afterEach(() => {
  vi.useRealTimers();
  Reflect.deleteProperty(document, "hidden");
});

describe("a run of mine", () => {
  it("is told when it ends, with how it went, and where it is", () => {
    const { notices, changed } = page();
    const heard = vi.fn();
    notices.onChange(heard);
    changed({ rev: 1, finished_at: null });
    expect(heard).not.toHaveBeenCalled();
    changed({ rev: 2, finished_at: at(0), counts: { succeeded: 35, timed_out: 2 } });
    changed({ rev: 3, finished_at: at(0), counts: { succeeded: 37 } });
    expect(heard).toHaveBeenCalledTimes(1);
    const [notice] = notices.get();
    expect(sentence(notice)).toBe("uptime && df -h / is over: 35 succeeded, 2 timed out");
    expect(notice).toMatchObject({ kind: "run_failed", subjects: [{ id: RUN.id }], read: false });
  });

  it("is not told to whoever looks at it, unless the page is hidden", () => {
    const { notices, looks, changed } = page();
    looks.at = RUN.id;
    changed({ rev: 1, finished_at: null });
    changed({ rev: 2, finished_at: at(0) });
    expect(notices.get()).toEqual([]);
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    changed({ id: "another", rev: 1, finished_at: at(0) });
    looks.at = "another";
    expect(notices.get()).toHaveLength(1);
  });

  it("has the look of success only when all succeeded", () => {
    expect(noticeOf({ ...RUN, counts: { succeeded: 3 } })[0]).toBe("run_succeeded");
    expect(noticeOf({ ...RUN, counts: { succeeded: 3, cancelled: 1 } })[0]).toBe("run_failed");
    expect(noticeOf({ ...RUN, title: "x".repeat(200) })[1].name).toHaveLength(61);
  });
});

describe("a run of somebody else", () => {
  it("is not told, nor to nobody", () => {
    const { notices, looks, changed } = page();
    changed({ rev: 1, user_id: 8, finished_at: at(0) });
    looks.me = null;
    changed({ id: "another", rev: 1, user_id: null, finished_at: at(0) });
    expect(notices.get()).toEqual([]);
  });
});
