import { expect, test } from "vitest";
import { emptyTiming, problemsOf, timingOf, wantedOf, whenOf } from "./draft";

/** @type {import("./api").Action} */
const ACTION = { kind: "run", request: { command: ["uptime"], targets: { selector: "*" } } };
const NIGHTLY = { ...emptyTiming(), name: " nightly ", cron: " 30 2 * * * ", zone: "Europe/Berlin" };

test("a whole draft is a request", () => {
  expect(wantedOf(NIGHTLY, ACTION)).toEqual({
    name: "nightly",
    cron: "30 2 * * *",
    timezone: "Europe/Berlin",
    windows: [],
    action: ACTION,
    missed: "once",
    grace_s: 3600,
    overlap: "skip",
  });
  const once = { ...NIGHTLY, by: /** @type {const} */ ("once"), wall: "2026-12-24T02:30" };
  expect(whenOf(once)).toEqual({ at: "2026-12-24T01:30:00.000Z", timezone: "Europe/Berlin", windows: [] });
});

test("what is missing is named", () => {
  expect(wantedOf(NIGHTLY, null)).toBeNull();
  expect(problemsOf(emptyTiming())).toHaveProperty("name");
  expect(problemsOf(emptyTiming())).toHaveProperty("cron");
  expect(problemsOf({ ...NIGHTLY, by: "once" })).toHaveProperty("wall");
  expect(problemsOf({ ...NIGHTLY, grace: "5 s" })).toHaveProperty("grace");
  expect(problemsOf({ ...NIGHTLY, grace: "5 s", missed: "skip" })).toEqual({});
  expect(problemsOf({ ...NIGHTLY, windows: [{ days: ["mon"], start: "7:00", end: "08:00" }] })).toHaveProperty(
    "windows",
  );
  expect(problemsOf({ ...NIGHTLY, windows: [{ days: [], start: "07:00", end: "24:00" }] })).toHaveProperty("windows");
});

test("a schedule comes back as it was typed", () => {
  const wanted = wantedOf(NIGHTLY, ACTION);
  const back = timingOf(/** @type {any} */ ({ at: null, ...wanted }));
  expect(back).toEqual({ ...NIGHTLY, name: "nightly", cron: "30 2 * * *" });
});
