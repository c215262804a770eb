/** Deployments and their devices as they change: the greater `rev` stands, and both maps stay small. */
import { describe, expect, it } from "vitest";
import { chance, golden, seeds } from "../test-support";
import { DEPLOYMENTS_KEPT, FOLLOWED_KEPT } from "./deployments";
import { reduce } from "./events";
import { emptyState } from "./rows";

/** @typedef {import("./deployments").Deployment} Deployment */
/** @typedef {import("./deployments").Target} Target */

const [DEPLOYMENT] = golden("deployments_changed").deployments;
const [TARGET] = golden("deployment_targets_changed").targets;

/** @param {Partial<Deployment>} fields @returns {Deployment} */
const deployment = (fields) => ({ ...DEPLOYMENT, ...fields });
/** @param {Partial<Target>} fields @returns {Target} */
const target = (fields) => ({ ...TARGET, ...fields });
/** @param {Deployment[]} deployments @returns {[string, any]} */
const changed = (...deployments) => ["deployments_changed", { deployments }];
/** @param {string} deployment_id @param {Target[]} targets @returns {[string, any]} */
const targets = (deployment_id, ...targets) => ["deployment_targets_changed", { deployment_id, targets }];

describe("deployments", () => {
  it("are what the greatest rev says, in whatever order it comes", () => {
    for (const seed of seeds(30)) {
      const random = chance(seed);
      const views = Array.from({ length: 12 }, (_, index) =>
        deployment({ id: `d-${index % 3}`, rev: 1 + Math.floor(index / 3), total: index }),
      );
      const { state } = reduce(
        emptyState(),
        random.shuffled(views).map((view) => changed(view)),
      );
      expect([...state.deployments.values()].map(({ rev }) => rev)).toEqual([4, 4, 4]);
      for (const view of state.deployments.values()) expect(views).toContain(view);
    }
  });

  it("are forgotten when there are many, the oldest first", () => {
    const many = Array.from({ length: DEPLOYMENTS_KEPT + 20 }, (_, index) =>
      deployment({ id: `d-${String(index).padStart(5, "0")}` }),
    );
    const { state } = reduce(emptyState(), [changed(...many)]);
    expect(state.deployments.size).toBe(DEPLOYMENTS_KEPT);
    expect(state.deployments.has("d-00019")).toBe(false);
    expect(state.deployments.has("d-00020")).toBe(true);
  });

  it("leave the state before them as it was", () => {
    const before = reduce(emptyState(), [changed(deployment({ rev: 1 })), targets("d", target({ rev: 1 }))]).state;
    const kept = structuredClone(before);
    reduce(before, [changed(deployment({ rev: 2 })), targets("d", target({ rev: 2 }))]);
    expect(before).toEqual(kept);
  });
});

describe("their devices", () => {
  it("are kept by deployment, the greater rev of each", () => {
    const { state } = reduce(emptyState(), [
      targets("d-1", target({ id: "a", rev: 2 }), target({ id: "b", rev: 1 })),
      targets("d-1", target({ id: "a", rev: 1, state: "pending" }), target({ id: "b", rev: 4 })),
    ]);
    expect([...(state.targets.get("d-1")?.values() ?? [])].map(({ id, rev }) => [id, rev])).toEqual([
      ["a", 2],
      ["b", 4],
    ]);
  });

  it("of few deployments are kept, those heard of last", () => {
    const names = Array.from({ length: FOLLOWED_KEPT + 2 }, (_, index) => `d-${index}`);
    const { state } = reduce(
      emptyState(),
      names.map((name) => targets(name, target({}))),
    );
    expect([...state.targets.keys()]).toEqual(names.slice(2));
  });

  it("understand the wire's example", () => {
    const example = golden("deployment_targets_changed");
    const { state } = reduce(emptyState(), [["deployment_targets_changed", example]]);
    expect(state.targets.get(example.deployment_id)?.size).toBe(example.targets.length);
  });
});
