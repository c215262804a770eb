import { expect, test } from "vitest";
import { momentOf, wallOf, zoneNames } from "./zones";

test("a wall clock and its moment", () => {
  expect(momentOf("2026-12-24T02:30", "Europe/Berlin")).toBe("2026-12-24T01:30:00.000Z");
  expect(momentOf("2026-07-01T02:30", "America/New_York")).toBe("2026-07-01T06:30:00.000Z");
  expect(momentOf("2026-07-01T00:00", "UTC")).toBe("2026-07-01T00:00:00.000Z");
  expect(wallOf("2026-12-24T01:30:00Z", "Europe/Berlin")).toBe("2026-12-24T02:30");
});

test("around the hours that clocks skip or show twice", () => {
  for (const wall of ["2026-03-29T01:59", "2026-03-29T03:00", "2026-10-25T01:30", "2026-10-25T03:00"])
    expect(wallOf(momentOf(wall, "Europe/Berlin") ?? "", "Europe/Berlin")).toBe(wall);
});

test("what is no time, or no zone", () => {
  expect(momentOf("", "UTC")).toBeNull();
  expect(momentOf("2026-12-24T02:30", "Europe/Berlim")).toBeNull();
});

test("names begin with one's own", () => {
  expect(zoneNames()).toContain("UTC");
  expect(new Set(zoneNames()).size).toBe(zoneNames().length);
});
