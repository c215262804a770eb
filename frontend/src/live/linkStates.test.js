/** The whole product of states and events of the link, against what is meant. */
import { describe, expect, it } from "vitest";
import { chance, seeds } from "../test-support";
import { TRANSITIONS, advance, retryDelayMs } from "./linkStates";

/** @typedef {import("./linkStates").LinkState} LinkState */
/** @typedef {import("./linkStates").LinkEvent} LinkEvent */

/** @type {LinkEvent[]} */
const EVENTS = ["start", "connected", "synced", "closed", "retry", "stop"];

/** What each event leads to, in the order of `EVENTS`; "·" is where it means nothing. @type {Record<LinkState, string[]>} */
const MEANT = {
  //           start         connected  synced  closed  retry         stop
  idle: /*  */ ["connecting", "·", "·", "·", "·", "·"],
  connecting: ["·", "syncing", "·", "lost", "·", "idle"],
  syncing: ["·", "·", "live", "lost", "·", "idle"],
  live: /*  */ ["·", "·", "·", "lost", "·", "idle"],
  lost: /*  */ ["·", "·", "·", "·", "connecting", "idle"],
};
const STATES = /** @type {LinkState[]} */ (Object.keys(MEANT));
const product = STATES.flatMap((state) => EVENTS.map((event, index) => ({ state, event, next: MEANT[state][index] })));

describe("the table", () => {
  it.each(product)("$state, $event → $next", ({ state, event, next }) => {
    expect(advance(state, event)).toBe(next === "·" ? state : next);
  });

  it("knows no other states or events", () => {
    expect(Object.keys(TRANSITIONS).sort()).toEqual([...STATES].sort());
    for (const ways of Object.values(TRANSITIONS)) expect(EVENTS).toEqual(expect.arrayContaining(Object.keys(ways)));
  });

  it("is live only after a whole snapshot of this connection", () => {
    const into = product.filter(({ next }) => next === "live");
    expect(into).toEqual([{ state: "syncing", event: "synced", next: "live" }]);
  });
});

describe("the delay before another attempt", () => {
  it("begins at a second, doubles, and never passes fifteen", () => {
    const longest = Array.from({ length: 12 }, (_, attempt) => retryDelayMs(attempt, 1));
    expect(longest.slice(0, 6)).toEqual([1000, 2000, 4000, 8000, 15000, 15000]);
    expect(new Set(longest.slice(4))).toEqual(new Set([15000]));
    expect(retryDelayMs(5000, 1)).toBe(15000);
  });

  it.each(seeds(20))("is spread over half of itself, with seed %i", (seed) => {
    const random = chance(seed);
    const attempt = random.integer(20);
    const longest = retryDelayMs(attempt, 1);
    const delays = Array.from({ length: 200 }, () => retryDelayMs(attempt, random.random()));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(longest / 2);
    expect(Math.max(...delays)).toBeLessThanOrEqual(longest);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(longest / 4);
  });
});
