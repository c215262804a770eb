import { expect, test } from "vitest";
import { daysOf, spanOf } from "./days";

const NOW = new Date(2026, 10, 25, 12); // a Wednesday

/** @param {number} day @param {number} hour */
const at = (day, hour) => new Date(2026, 10, day, hour).toISOString();

/** @param {Partial<import("./api").Planned>} fields */
const planned = (fields) => ({ schedule_id: "s", name: "nightly", timezone: "UTC", times: [], more: false, ...fields });

test("five weeks from a Monday", () => {
  const days = daysOf([], NOW);
  expect(days).toHaveLength(35);
  expect(days[0].date).toEqual(new Date(2026, 10, 23));
  expect(spanOf(NOW).end).toEqual(new Date(2026, 11, 28));
  expect(days.map(({ past }) => past).lastIndexOf(true)).toBe(1);
});

test("what is due stands on its day, by time", () => {
  const days = daysOf(
    [planned({ times: [at(25, 14), at(26, 14)] }), planned({ schedule_id: "t", name: "early", times: [at(26, 3)] })],
    NOW,
  );
  expect(days[2].due.map(({ name }) => name)).toEqual(["nightly"]);
  expect(days[3].due.map(({ name }) => name)).toEqual(["early", "nightly"]);
});

test("what comes too often to be listed stands on each day that follows", () => {
  const days = daysOf([planned({ times: [at(25, 14), at(26, 1)], more: true })], NOW);
  expect(days[2].due[0]).toMatchObject({ often: false });
  expect(days.slice(3).every(({ due }) => due.length === 1 && due[0].often)).toBe(true);
});
