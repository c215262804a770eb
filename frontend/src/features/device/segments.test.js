/** From events of presence to stretches of time: none overlaps another, and before the first that is known is a gap. */
import { describe, expect, it } from "vitest";
import { at, chance, seeds } from "../../test-support";
import { segmentsOf, summary } from "./segments";

/** @param {number} seconds */
const ms = (seconds) => Date.parse(at(seconds));

/** @param {"online" | "offline"} status @param {number} seconds */
const event = (status, seconds) => ({ status, at: at(seconds), detail: `${status} at ${seconds}` });

/** @param {"online" | "offline" | "unknown"} status @param {number | null} since */
const current = (status, since) => ({
  status,
  status_since: since === null ? null : at(since),
  status_detail: `${status} now`,
});

/** @param {import("./segments").Segment[]} segments */
const brief = (segments) =>
  segments.map(({ status, from, to }) => [status, (from - ms(0)) / 1000, (to - ms(0)) / 1000]);

describe("the stretches", () => {
  it("go from each event to the next, the last until now", () => {
    const events = [event("offline", 80), event("online", 50), event("offline", 20)];
    const segments = segmentsOf(events, current("offline", 80), ms(0), ms(100));
    expect(brief(segments)).toEqual([
      ["offline", 20, 50],
      ["online", 50, 80],
      ["offline", 80, 100],
    ]);
    expect(segments.map(({ detail }) => detail)).toEqual(["offline at 20", "online at 50", "offline at 80"]);
  });

  it("begin at the window's edge when an event before it is known, and leave a gap when none is", () => {
    const inside = event("offline", 50);
    expect(brief(segmentsOf([inside, event("online", -900)], current("offline", 50), ms(0), ms(100)))).toEqual([
      ["online", 0, 50],
      ["offline", 50, 100],
    ]);
    expect(brief(segmentsOf([inside], current("offline", 50), ms(0), ms(100)))).toEqual([["offline", 50, 100]]);
  });

  it("end with what the live row says when it is newer than the events", () => {
    const segments = segmentsOf([event("offline", 20)], current("online", 60), ms(0), ms(100));
    expect(brief(segments)).toEqual([
      ["offline", 20, 60],
      ["online", 60, 100],
    ]);
    expect(segments[1].detail).toBe("online now");
  });

  it("are none when nothing is known", () => {
    expect(segmentsOf([], current("offline", null), ms(0), ms(100))).toEqual([]);
  });

  it("are one for a device that has not changed for long", () => {
    expect(brief(segmentsOf([event("offline", -50)], current("online", -10), ms(0), ms(100)))).toEqual([
      ["online", 0, 100],
    ]);
    expect(brief(segmentsOf([], current("online", -5000), ms(0), ms(100)))).toEqual([["online", 0, 100]]);
    expect(brief(segmentsOf([event("online", -5000)], current("online", -5000), ms(0), ms(100)))).toEqual([
      ["online", 0, 100],
    ]);
  });

  it.each(seeds(100))("lie in the window, side by side, and say what was true at each moment, with seed %i", (seed) => {
    const random = chance(seed);
    const times = Array.from({ length: random.integer(8) }, () => random.integer(200) - 80).sort((a, b) => b - a);
    const events = times.map((seconds) => event(random.pick(["online", "offline"]), seconds));
    const now = current(events[0]?.status ?? "offline", times[0] ?? null);
    const segments = segmentsOf(events, now, ms(0), ms(100));
    segments.forEach(({ from, to }, index) => {
      expect(from).toBeGreaterThanOrEqual(index ? segments[index - 1].to : ms(0));
      expect(to).toBeGreaterThan(from);
      expect(to).toBeLessThanOrEqual(ms(100));
    });
    for (let seconds = 0.5; seconds < 100; seconds += 1) {
      const truth = events.find((one) => Date.parse(one.at) <= ms(seconds));
      const shown = segments.find(({ from, to }) => from <= ms(seconds) && ms(seconds) < to);
      expect(shown?.status).toBe(truth?.status);
    }
  });
});

describe("the summary", () => {
  it("is of what is known: gaps and unknown times count for nothing", () => {
    const segments = segmentsOf(
      [event("offline", 70), event("online", 40), event("offline", 30), event("online", 10)],
      current("unknown", 90),
      ms(0),
      ms(100),
    );
    expect(summary(segments)).toEqual({ share: 50 / 80, times: 2, longestS: 20 });
  });

  it("has no share when nothing is known", () => {
    expect(summary([])).toEqual({ share: null, times: 0, longestS: 0 });
    expect(summary(segmentsOf([], current("unknown", 10), ms(0), ms(100))).share).toBeNull();
  });
});
