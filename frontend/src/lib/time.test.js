/** Times in words: each boundary, both directions, and what is no time. */
import { describe, expect, it } from "vitest";
import { at, chance, seeds } from "../test-support";
import { duration, elapsedTime, exactTime, relativeTime } from "./time";

const NOW = Date.parse(at(0));
const DAY = 86_400;

describe("a relative time", () => {
  it.each([
    [0, "just now"],
    [4, "just now"],
    [5, "5 s ago"],
    [59, "59 s ago"],
    [60, "1 min ago"],
    [119, "1 min ago"],
    [3599, "59 min ago"],
    [3600, "1 h ago"],
    [DAY - 1, "23 h ago"],
    [DAY, "1 d ago"],
    [30 * DAY - 1, "29 d ago"],
    [-4, "just now"],
    [-5, "in 5 s"],
    [-3 * 3600, "in 3 h"],
    [-29 * DAY, "in 29 d"],
  ])("%i s before now is %s", (seconds, words) => {
    expect(relativeTime(at(-seconds), NOW)).toBe(words);
  });

  it("is a date from thirty days on, before and after", () => {
    expect(relativeTime(at(-30 * DAY), NOW)).toMatch(/2026/);
    expect(relativeTime(at(30 * DAY), NOW)).toMatch(/2026/);
    expect(relativeTime(at(-30 * DAY), NOW)).not.toMatch(/ago|:/);
  });

  it("is said to be unknown when it is no time", () => {
    expect(relativeTime("", NOW)).toBe("at an unknown time");
    expect(relativeTime("yesterday", NOW)).toBe("at an unknown time");
  });
});

describe("what lasts", () => {
  it.each([
    [-3, "for 0 s"],
    [0, "for 0 s"],
    [59, "for 59 s"],
    [7300, "for 2 h"],
    [30 * DAY - 1, "for 29 d"],
  ])("and began %i s ago has lasted %s", (seconds, words) => {
    expect(elapsedTime(at(-seconds), NOW)).toBe(words);
  });

  it("has a date from thirty days on", () => {
    expect(elapsedTime(at(-30 * DAY), NOW)).toMatch(/^since .*\d{4}/);
  });

  it("without a beginning says so", () => {
    expect(elapsedTime("no time", NOW)).toBe("since an unknown time");
  });
});

describe("a duration", () => {
  it.each([
    [-3, "0 s"],
    [0.9, "0 s"],
    [59.99, "59 s"],
    [60, "1 min"],
    [3599, "59 min"],
    [7199, "1 h"],
    [DAY, "1 d"],
    [400 * DAY, "400 d"],
  ])("of %f s is %s", (seconds, words) => {
    expect(duration(seconds)).toBe(words);
  });

  it.each(seeds(50))("has one unit and is never longer than what it names, with seed %i", (seed) => {
    const seconds = chance(seed).random() * 40 * DAY;
    const [, number, unit] = /^(\d+) (s|min|h|d)$/.exec(duration(seconds)) ?? [];
    const unitS = { s: 1, min: 60, h: 3600, d: DAY }[unit] ?? NaN;
    expect(Number(number) * unitS).toBeLessThanOrEqual(seconds);
    expect((Number(number) + 1) * unitS).toBeGreaterThan(seconds);
  });
});

it("shows the exact time with its date and its second, in the reader's zone", () => {
  const exact = exactTime("2026-03-01T08:30:59.000Z");
  expect(exact).toContain("2026");
  expect(exact).toMatch(/:30:59/);
});
