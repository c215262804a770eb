/** Who is told of a deployment that ends, stops or waits for a yes, in which words, and that many are not a storm. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { setServerTime } from "../lib/clock";
import { at, golden } from "../test-support";
import { tellOfDeployments } from "./deploymentNotices";
import { log } from "./log";
import { createNotices, sentence } from "./notices";
import { createStore } from "./store";

const [EXAMPLE] = golden("deployments_changed").deployments;
const ME = 7;

/** @typedef {Partial<import("./deployments").Deployment>} Fields */

function page() {
  const store = createStore({ schedule: () => {} });
  const notices = createNotices({ store, log });
  const looks = { at: "", before: "", acts: true };
  const viewer = () => ({ id: ME, acts: looks.acts });
  const watches = (/** @type {string} */ id) => id === looks.at;
  tellOfDeployments({ store, notices, viewer, watches, watched: (id) => id === looks.before });
  let rev = 0;
  /** @param {Fields[]} rows in the order in which the server says them */
  function changed(...rows) {
    const deployments = rows.map((fields) => ({ ...EXAMPLE, user_id: ME, ...fields, rev: (rev += 1) }));
    store.dispatch("deployments_changed", { deployments });
    store.flush();
  }
  return { looks, changed, told: () => notices.get().map(sentence) };
}

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
  vi.useFakeTimers({ now: Date.parse(at(0)) });
  setServerTime(at(0));
});
afterEach(() => vi.useRealTimers());

it("of mine is told when it stops and when it ends, each once", () => {
  const { changed, told } = page();
  changed({ state: "running" });
  expect(told()).toEqual([]);
  changed({ state: "paused", reason: "3 devices failed" }, { state: "paused", reason: "3 devices failed" });
  changed({ state: "paused", counts: { failed: 3 } });
  expect(told()).toEqual(["web 2.1.0 is paused: 3 devices failed"]);
  changed({ state: "running" });
  changed({ state: "failed", finished_at: at(0), counts: { failed: 3, succeeded: 92 } });
  expect(told()).toEqual(["web 2.1.0 failed: 3 failed, 92 succeeded", "web 2.1.0 is paused: 3 devices failed"]);
});

it("of somebody else is told to whoever looked at it, and waits for the yes of whoever may give it", () => {
  const { changed, told, looks } = page();
  const ends = { user_id: 8, state: /** @type {const} */ ("succeeded"), finished_at: at(0), counts: { succeeded: 3 } };
  changed({ id: "unseen", ...ends });
  expect(told()).toEqual([]);
  looks.before = "seen";
  changed({ id: "seen", ...ends });
  expect(told()).toEqual(["web 2.1.0 succeeded: 3 succeeded"]);
  const waits = { state: /** @type {const} */ ("awaiting_approval"), created_at: at(0), total: 120 };
  changed({ id: "mine", ...waits });
  looks.acts = false;
  changed({ id: "a", user_id: 8, ...waits });
  expect(told()).toHaveLength(1);
  looks.acts = true;
  changed({ id: "b", user_id: 8, ...waits }, { id: "long ago", user_id: 8, ...waits, created_at: at(-3600) });
  expect(told()[0]).toBe("web 2.1.0 waits for approval: ada@example.test wants it on 120 devices");
});

it("is not told to whoever looks at it", () => {
  const { changed, told, looks } = page();
  looks.at = EXAMPLE.id;
  changed({ state: "running" });
  changed({ state: "succeeded", finished_at: at(0) });
  expect(told()).toEqual([]);
});

it("and thirty others that end together are one notice, and one that flaps is one as well", () => {
  const { changed, told } = page();
  const many = Array.from({ length: 30 }, (_, number) => ({ id: `d${number}` }));
  changed(...many.map((one) => ({ ...one, state: /** @type {const} */ ("running") })));
  for (const one of many) changed({ ...one, state: "failed", finished_at: at(0) });
  expect(told()).toEqual(["30 deployments are over, and did not succeed"]);
  for (let turn = 0; turn < 20; turn += 1) changed({ id: "flaps", state: turn % 2 ? "paused" : "running" });
  expect(told()).toHaveLength(2);
});
