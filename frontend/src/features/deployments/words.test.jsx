/** What a deployment says in words: what will happen, what can be done with it, what each device is at. */
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { golden } from "../../test-support";
import { ACTIONS, actionOff } from "./actionWords";
import { paceWords } from "./DeploymentHeader";
import { Cells, cellWords } from "./lanes/Cells";
import { byWave, mergeDeployments, mergeTargets } from "./merge";
import { ACTIVE, DEPLOYMENT_STATES, TARGET_ORDER, countWords, settledIn } from "./states";
import { dayWords, strategyFacts, thresholdWords } from "./strategyWords";
import { EMPTY } from "./wizard/draft";
import { courseWords, installWords } from "./wizard/words";

/** @typedef {import("./states").Deployment} Deployment */
/** @typedef {import("./states").Target} Target */

const [DEPLOYMENT] = /** @type {Deployment[]} */ (golden("deployments_changed").deployments);
const [TARGET] = /** @type {Target[]} */ (golden("deployment_targets_changed").targets);

/** @param {Partial<Deployment>} fields @returns {Deployment} */
const deployment = (fields) => ({ ...DEPLOYMENT, ...fields });
/** @param {Partial<Target>} fields @returns {Target} */
const target = (fields) => ({ ...TARGET, ...fields });

describe("what can be done", () => {
  const mixed = deployment({
    total: 30,
    counts: { succeeded: 20, failed: 2, installing: 3, pending: 5, skipped: 1 },
    actions: ["pause", "abort", "rollback", "promote", "retry"],
  });

  it.each([
    ["abort", 8, "3 devices in flight end what they are at. 5 devices that wait are left out."],
    ["rollback", 25, "25 devices that have it or may have it go back"],
    ["pause", 0, "3 devices in flight end what they are at. Nothing new starts: 5 devices wait"],
    ["promote", 2, "Wave 2 with 2 devices begins now, whatever the gate before it says: 1 of 1 healthy, 1 needed"],
    ["retry", 3, "tried again"],
  ])("%s concerns %i devices, and says so", (action, count, words) => {
    const said = ACTIONS[/** @type {import("./steering").Action} */ (action)];
    expect(said.count(mixed)).toBe(count);
    expect(said.what(mixed, count)).toContain(words);
  });

  it("is off for a reason, and on where the server says that it may be done", () => {
    expect(actionOff(mixed, "abort")).toBeNull();
    expect(actionOff(deployment({ actions: [], state: "succeeded" }), "pause")).toBe("It is over: succeeded.");
    expect(actionOff(deployment({ actions: [], state: "awaiting_approval" }), "promote")).toContain("approval");
    expect(actionOff(deployment({ actions: [], state: "running" }), "retry")).toContain("Nothing has failed");
  });
});

describe("the states", () => {
  it("are counted in words, what is bad first", () => {
    expect(countWords({ succeeded: 1200, failed: 2, pending: 1 })).toBe("2 failed, 1 pending, 1,200 succeeded");
    expect(settledIn({ succeeded: 4, failed: 1, pending: 9, installing: 2, rolled_back: 1, skipped: 1 })).toBe(7);
  });

  it("of a deployment that may still move by itself are five", () => {
    expect(ACTIVE.every((state) => state in DEPLOYMENT_STATES)).toBe(true);
    expect(Object.keys(DEPLOYMENT_STATES).length - ACTIVE.length).toBe(5);
  });
});

describe("a strategy", () => {
  it("is said part by part", () => {
    const facts = Object.fromEntries(strategyFacts(DEPLOYMENT.strategy));
    expect(facts).toMatchObject({
      Waves: "1, 10%, 100%",
      "At once": "20 devices",
      Gate: "95 % of a wave have it, healthy",
      Soak: "10 min after each wave",
      "When it fails": "rolls back as soon as more than 5 % of a wave fail",
      "Who is offline": "is left out after 1 h",
      Order: "by the tag site, then by name",
      Window: "Sat, Sun 22:00–04:00 (Europe/Berlin)",
    });
  });

  it("has days and thresholds as people say them", () => {
    expect(dayWords(["mon", "tue", "wed", "thu", "fri"])).toBe("Mon–Fri");
    expect(dayWords(["mon", "wed"])).toBe("Mon, Wed");
    expect(dayWords(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])).toBe("every day");
    expect(thresholdWords("0")).toBe("one device fails");
    expect(thresholdWords("2")).toBe("more than 2 devices fail");
    expect(paceWords(0.5)).toBe("0.5 an hour");
    expect(paceWords(1234.4)).toBe("1,234 an hour");
  });
});

describe("the last step of the wizard", () => {
  /** @param {number[]} waves @param {number} offline @returns {any} */
  const preview = (waves, offline) => ({
    release: { name: "shop", version: "1.4.2" },
    total: waves.reduce((sum, count) => sum + count, 0),
    waves: waves.map((total, index) => ({ number: index + 1, label: "", total })),
    offline,
  });

  it("says what it installs, where, in which waves", () => {
    expect(installWords(preview([1, 9, 38, 47], 0))).toBe(
      "This installs shop 1.4.2 on 95 devices in 4 waves: 1, 9, 38 and 47.",
    );
    expect(installWords(preview([5], 0))).toBe("This installs shop 1.4.2 on 5 devices, all in one wave.");
    expect(installWords(preview([1], 0))).toBe("This installs shop 1.4.2 on 1 device, at once.");
  });

  it("says what happens between and instead", () => {
    const draft = { ...EMPTY, release: "shop@1.4.2", selector: "*", healthy: "95", soak: "10 min", parallel: "20" };
    expect(courseWords(draft, preview([10, 90], 3))).toBe(
      "The next wave opens when 95 % of a wave have it, healthy, and that for 10 min. At most 20 devices at once. " +
        "It pauses as soon as one device fails. 3 devices are offline: they get it when they are back.",
    );
    const hasty = { ...draft, onFailure: /** @type {const} */ ("roll_back"), fails: "5%", parallel: "" };
    expect(courseWords(hasty, preview([5], 0))).toBe(
      "It rolls everything back as soon as more than 5 % of a wave fail.",
    );
  });
});

describe("lists", () => {
  it("of deployments take in what is new, and let go what no longer fits", () => {
    const read = [deployment({ id: "b", state: "running", rev: 1 })];
    const live = new Map([
      ["a", deployment({ id: "a", state: "running" })],
      ["b", deployment({ id: "b", state: "succeeded", rev: 2 })],
      ["c", deployment({ id: "c", state: "paused" })],
    ]);
    const ids = (/** @type {Deployment[]} */ rows) => rows.map(({ id }) => id);
    expect(ids(mergeDeployments(read, live, {}, true))).toEqual(["c", "b"]);
    expect(ids(mergeDeployments(read, live, { state: ACTIVE }, false))).toEqual(["c", "a"]);
  });

  it("of devices keep the order of their turns, and are told apart by wave", () => {
    const read = [target({ id: "z", position: 1, wave: 1, state: "pending", rev: 1 })];
    const live = new Map([
      ["y", target({ id: "y", position: 2, wave: 2, state: "failed" })],
      ["z", target({ id: "z", position: 1, wave: 1, state: "succeeded", rev: 2 })],
    ]);
    const rows = mergeTargets(read, live, {}, false);
    expect(rows.map(({ id, state }) => [id, state])).toEqual([
      ["z", "succeeded"],
      ["y", "failed"],
    ]);
    expect(mergeTargets(read, live, {}, true)).toHaveLength(1);
    expect(mergeTargets(read, live, { state: "failed" }, false)).toHaveLength(1);
    expect([...byWave(rows).keys()]).toEqual([1, 2]);
  });
});

describe("a cell", () => {
  it("says in words what its colour says", () => {
    expect(cellWords(target({ device_name: "web-12", state: "downloading", phase: "fetching", percent: 40 }))).toBe(
      "web-12: fetching, 40 %",
    );
    const failed = target({ device_name: "db", state: "failed", phase: null, percent: null, reason: "it is sick" });
    expect(cellWords({ ...failed, attention: true })).toBe("db: failed: it is sick – somebody has to look at it");
  });

  it("is one stop of the Tab key with all the others, and each state has its own form", () => {
    const targets = TARGET_ORDER.map((state, at) =>
      target({ id: String(at), position: at, state, device_name: state }),
    );
    render(<Cells targets={targets} small={false} openId="2" onOpen={() => {}} />);
    const cells = screen.getAllByTestId("cell");
    expect(cells.map((cell) => cell.tabIndex)).toEqual([0, ...targets.slice(1).map(() => -1)]);
    expect(new Set(cells.map((cell) => cell.dataset.rollout)).size).toBe(TARGET_ORDER.length);
    expect(cells[2].getAttribute("aria-pressed")).toBe("true");
  });
});
