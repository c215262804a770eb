/** The address holds the whole draft, and the request says what was chosen. */
import { describe, expect, it } from "vitest";
import { chance, seeds } from "../../../test-support";
import { EMPTY, draftFrom, draftOf, firstOpen, problemsAt, problemsOf, requestOf, searchOf } from "./draft";
import { idsFrom, idsText } from "./ids";

/** @param {Partial<import("./draft").Draft>} fields */
const draft = (fields) => ({ ...EMPTY, ...fields });

/** As an address gives it back: text, and nothing that is not there. @param {Record<string, string | undefined>} search */
const through = (search) => Object.fromEntries(new URLSearchParams(JSON.parse(JSON.stringify(search))));

describe("picked devices in an address", () => {
  it("are short, and the same devices", () => {
    expect(idsText([3, 1, 2, 9, 7, 8, 20])).toBe("1-3,7-9,20");
    for (const seed of seeds(30)) {
      const random = chance(seed);
      const ids = Array.from({ length: random.integer(60) }, () => 1 + random.integer(100));
      expect(idsFrom(idsText(ids))).toEqual([...new Set(ids)].sort((a, b) => a - b));
    }
  });

  it("are not taken from nonsense", () => {
    expect(idsFrom("5,-1,x,3-,7-6, 9 ")).toEqual([5, 9]);
    expect(idsFrom("1-9999999999").length).toBeLessThanOrEqual(200_000);
  });
});

describe("a draft", () => {
  it("comes back from its address as it was", () => {
    for (const one of [
      EMPTY,
      draft({ release: "shop@1.4.2", selector: "role in (web,db)", following: true }),
      draft({ by: "devices", ids: [] }),
      draft({ by: "devices", ids: [4, 5, 9], waves: "100%", fails: "5%", onFailure: "roll_back", healthy: "95" }),
      draft({ soak: "", order: "tag", tag: "ring", days: "mon,tue", begin: "01:00", zone: "Europe/Berlin" }),
    ])
      expect(draftOf(through(searchOf(one)))).toEqual(one);
  });

  it("that was not touched is no address at all", () => {
    expect(through(searchOf(EMPTY))).toEqual({});
  });

  it("takes no choice that there is not", () => {
    expect(draftOf({ order: "height", offline: "explode", onFailure: "" })).toEqual(EMPTY);
  });
});

describe("what is missing", () => {
  it("is said at the step where it is asked, the first one first", () => {
    expect(firstOpen(problemsOf(EMPTY))).toBe("release");
    expect(firstOpen(problemsOf(draft({ release: "shop@1" })))).toBe("targets");
    const odd = problemsOf(draft({ release: "shop@1", selector: "*", waves: "1, 50%" }));
    expect(firstOpen(odd)).toBe("waves");
    expect(Object.keys(problemsAt(odd, "waves"))).toEqual(["waves"]);
    expect(problemsAt(odd, "targets")).toEqual({});
    expect(firstOpen(problemsOf(draft({ release: "shop@1", selector: "*" })))).toBeNull();
  });

  it.each([
    ["waves", ""],
    ["waves", "0, 100%"],
    ["waves", "ten, 100%"],
    ["waves", "10%, 50%"],
    ["parallel", "0"],
    ["parallel", "many"],
    ["fails", "-1"],
    ["fails", ""],
    ["healthy", "101"],
    ["healthy", "most"],
    ["soak", "a while"],
    ["deadline", "soon"],
  ])("%s %j", (field, text) => {
    expect(problemsOf(draft({ [field]: text }))).toHaveProperty(field);
  });

  it("is asked only where it matters", () => {
    expect(problemsOf(draft({ offline: "wait", away: "" }))).not.toHaveProperty("away");
    expect(problemsOf(draft({ offline: "skip", away: "" }))).toHaveProperty("away");
    expect(problemsOf(draft({ order: "tag" }))).toHaveProperty("tag");
  });
});

describe("the request", () => {
  it("says what was chosen, in the server's units", () => {
    const request = requestOf(
      draft({
        release: "shop@1.4.2",
        selector: " role=web ",
        following: true,
        waves: "1, 10% 100%",
        parallel: "20",
        fails: "5%",
        soak: "10 min",
        healthy: "95",
        offline: "skip",
        away: "2 h",
        deadline: "1 d",
        days: "mon,fri",
        zone: "Europe/Berlin",
        onFailure: "roll_back",
      }),
    );
    expect(request).toEqual({
      release: "shop@1.4.2",
      targets: { selector: "role=web" },
      following: true,
      strategy: {
        waves: ["1", "10%", "100%"],
        max_parallel: 20,
        failure_threshold: "5%",
        soak_s: 600,
        healthy_percent: 95,
        window: { days: ["mon", "fri"], begin: "22:00", end: "05:00", zone: "Europe/Berlin" },
        order: "name",
        order_tag: "",
        deadline_s: 86_400,
        offline: "skip",
        offline_after_s: 7200,
        on_failure: "roll_back",
      },
    });
  });

  it.each([
    {
      selector: "role=web",
      following: true,
      waves: "1, 10%, 100%",
      parallel: "20",
      fails: "5%",
      onFailure: "roll_back",
    },
    { selector: "*", soak: "90 s", healthy: "95", offline: "skip", away: "2 h", deadline: "1 d", days: "mon,fri" },
    { by: "devices", ids: [4, 9], order: "tag", tag: "ring", soak: "", days: "sun", zone: "Europe/Berlin" },
  ])("comes back as the draft that it was made from: %j", (/** @type {any} */ fields) => {
    const request = requestOf(draft({ release: "shop@1.4.2", ...fields }));
    expect(requestOf(draftFrom(request))).toEqual(request);
  });

  it("of picked devices follows nobody", () => {
    const request = requestOf(draft({ release: "shop@1", by: "devices", ids: [4], following: true, soak: "" }));
    expect(request).toMatchObject({
      targets: { device_ids: [4] },
      following: false,
      strategy: { soak_s: 0, window: null },
    });
  });
});
