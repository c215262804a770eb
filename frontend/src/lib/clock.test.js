/** The server's clock, and one ticker for all who show a relative time. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { at } from "../test-support";
import { now, onTick, setServerTime } from "./clock";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
});
afterEach(() => {
  setServerTime(new Date().toISOString());
  vi.useRealTimers();
});

it("goes by the server's time, however wrong this browser's is", () => {
  setServerTime(at(86_400));
  expect(now()).toBe(Date.parse(at(86_400)));
  vi.advanceTimersByTime(3000);
  expect(now()).toBe(Date.parse(at(86_403)));
  setServerTime("nonsense");
  expect(now()).toBe(Date.parse(at(86_403)));
});

it("ticks once a second for everyone, with one timer, and with none when nobody listens", () => {
  const [first, second] = [vi.fn(), vi.fn()];
  const stops = [onTick(first), onTick(second)];
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(3000);
  stops[0]();
  vi.advanceTimersByTime(1000);
  stops[1]();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(5000);
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([3, 4]);
  onTick(first)();
  expect(vi.getTimerCount()).toBe(0);
});
