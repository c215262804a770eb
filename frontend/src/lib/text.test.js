/** Words, numbers and their order. */
import { describe, expect, it } from "vitest";
import { chance, seeds } from "../test-support";
import { formatBytes, formatCount, listNames, naturalKey, plural } from "./text";

describe("a number of things", () => {
  it("is singular for one alone", () => {
    expect(plural(0, "device")).toBe("0 devices");
    expect(plural(1, "device")).toBe("1 device");
    expect(plural(2, "device")).toBe("2 devices");
    expect(plural(1, "address", "addresses")).toBe("1 address");
    expect(plural(3, "address", "addresses")).toBe("3 addresses");
  });

  it("has its thousands apart", () => {
    expect(formatCount(10_000)).toBe("10,000");
    expect(plural(12_345, "device")).toBe("12,345 devices");
  });
});

describe("a list of names", () => {
  it.each([
    [[], ""],
    [["a"], "a"],
    [["a", "b"], "a and b"],
    [["a", "b", "c"], "a, b and c"],
    [["a", "b", "c", "d"], "a, b, c and 1 more"],
    [Array.from({ length: 1203 }, () => "a"), "a, a, a and 1,200 more"],
  ])("%j is %j", (names, words) => {
    expect(listNames(names)).toBe(words);
  });

  it("can be longer", () => {
    expect(listNames(["a", "b", "c", "d", "e"], 4)).toBe("a, b, c, d and 1 more");
    expect(listNames(["a", "b", "c", "d"], 4)).toBe("a, b, c and d");
  });
});

describe("the natural order", () => {
  it("puts numbers by their size and does not see case", () => {
    const names = ["web-10", "Web-2", "web-1", "db-3", "web-02b"];
    const sorted = [...names].sort((a, b) => (naturalKey(a) < naturalKey(b) ? -1 : 1));
    expect(sorted).toEqual(["db-3", "web-1", "Web-2", "web-02b", "web-10"]);
  });

  it.each(seeds(30))("agrees with a collator that is slower, with seed %i", (seed) => {
    const random = chance(seed);
    const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
    const names = Array.from({ length: 40 }, () => `${random.pick(["web", "DB", "db", "x"])}${random.integer(2000)}`);
    const byKey = [...names].sort((a, b) =>
      naturalKey(a) < naturalKey(b) ? -1 : naturalKey(a) > naturalKey(b) ? 1 : 0,
    );
    expect(byKey.map((name) => name.toLowerCase())).toEqual(
      [...names].sort(collator.compare).map((name) => name.toLowerCase()),
    );
  });
});

describe("a size", () => {
  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [1536, "1.5 KiB"],
    [10 * 1024, "10 KiB"],
    [17_179_869_184, "16 GiB"],
    [1024 ** 4, "1.0 TiB"],
    [5000 * 1024 ** 4, "5000 TiB"],
    [1024 ** 2 - 1, "1.0 MiB"],
    [10 * 1024 - 1, "10 KiB"],
  ])("of %i bytes is %s", (bytes, words) => {
    expect(formatBytes(bytes)).toBe(words);
  });
});
