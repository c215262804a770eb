import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { log } from "./log";

/** @type {import("vitest").MockInstance} */
let debug;

beforeEach(() => {
  vi.useFakeTimers();
  debug = vi.spyOn(console, "debug").mockImplementation(() => {});
});

afterEach(() => {
  vi.runAllTimers();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const written = () => debug.mock.calls.map(([line]) => line);

test("a few lines are written at once, in the specification's words", () => {
  log.statusChanged("DESKTOP-ABC123", "online");
  log.statsUpdated();
  log.notification("Agent Connected");
  expect(written()).toEqual([
    "[INFO] Device status changed: DESKTOP-ABC123 → online",
    "[INFO] Dashboard stats updated",
    "[INFO] Notification: Agent Connected",
  ]);
});

test("a thousand lines hold up no frame, and every one is written, in order", () => {
  const names = Array.from({ length: 1000 }, (_, index) => `web-${index}`);
  for (const name of names) log.statusChanged(name, "offline");
  expect(written().length).toBeLessThanOrEqual(50);
  let before = written().length;
  while (vi.getTimerCount() > 0) {
    vi.advanceTimersToNextTimer();
    expect(written().length - before).toBeLessThanOrEqual(50);
    before = written().length;
    if (before === 1000) break;
  }
  expect(written()).toEqual(names.map((name) => `[INFO] Device status changed: ${name} → offline`));
});

test("what is written while others wait comes after them", () => {
  for (let index = 0; index < 60; index += 1) log.statusChanged(`web-${index}`, "online");
  vi.advanceTimersByTime(20);
  log.statsUpdated();
  vi.runAllTimers();
  expect(written()[60]).toBe("[INFO] Dashboard stats updated");
  expect(written()).toHaveLength(61);
});
