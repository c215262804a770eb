/** Which devices the palette offers. */
import { expect, it } from "vitest";
import { device } from "../../test-support";
import { findDevices } from "./findDevices";

/** @param {string[]} names */
const fleet = (names) => new Map(names.map((device_name, id) => [id, device({ id, device_name })]));
/** @param {string} text @param {string[]} names */
const offered = (text, names) => findDevices(text, fleet(names)).found.map(({ device_name }) => device_name);

it("offers nothing for nothing", () => {
  expect(findDevices("  ", fleet(["web-1"]))).toEqual({ found: [], total: 0 });
});

it("puts names that begin with the text first, and counts within names", () => {
  expect(offered("db", ["old-db", "db-10", "db-2", "web-1"])).toEqual(["db-2", "db-10", "old-db"]);
});

it("offers a few of many, whatever order they come in, and says how many there are", () => {
  const names = Array.from({ length: 30 }, (_, number) => `web-${(number * 7) % 30}`);
  expect(offered("web", names)).toEqual(Array.from({ length: 8 }, (_, number) => `web-${number}`));
  expect(findDevices("web", fleet(names)).total).toBe(30);
});
