/** What is asked of a deployment is shown at once, and is what the server says as soon as it has answered. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { store } from "../../live";
import { Problem } from "../../lib/problem";
import { golden } from "../../test-support";
import { STEER } from "./api";
import { steer, steering } from "./steering";

const [DEPLOYMENT] = golden("deployments_changed").deployments;

beforeEach(() => {
  store.reset();
  steering.clear();
});

describe("an action", () => {
  it("is shown before its answer, and gives way to it without a moment between", async () => {
    const seen = /** @type {any[]} */ ([]);
    vi.spyOn(STEER, "pause").mockImplementation(async (deployment, note) => {
      seen.push([steering.get().get(deployment.id)?.state, note]);
      return { ...deployment, state: "paused", rev: deployment.rev + 1 };
    });
    steering.subscribe(() => {
      if (!steering.get().has(DEPLOYMENT.id)) seen.push(store.get().deployments.get(DEPLOYMENT.id)?.state);
    });
    await steer(DEPLOYMENT, "pause", { note: "lunch" });
    expect(seen[0]).toEqual(["paused", "lunch"]);
    expect(seen).toHaveLength(2);
    expect(seen[1]).toBe("paused"); // the answer was there before the promise of it was taken away
    expect(steering.get().size).toBe(0);
  });

  it("that is refused is undone, and says why", async () => {
    const refusal = new Problem({ status: 409, code: "cannot", title: "Conflict", detail: "It is over." });
    vi.spyOn(STEER, "abort").mockRejectedValue(refusal);
    await expect(steer(DEPLOYMENT, "abort")).rejects.toBe(refusal);
    expect(steering.get().size).toBe(0);
    expect(store.get().deployments.size).toBe(0);
  });
});
