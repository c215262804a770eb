/** The view of the list is the address: what goes in comes out, and what an address should not hold breaks nothing. */
import { describe, expect, it } from "vitest";
import { chance, device, seeds } from "../../test-support";
import { COLUMN_IDS } from "./columns";
import { FACETS, NOBODY, facetValues, haystack, isFiltered, matcher, searchFrom, searchOf, viewFrom } from "./view";

/** @param {Partial<import("./view").View>} [part] */
const view = (part = {}) => ({ ...viewFrom({}), ...part });

describe("the address", () => {
  it("is empty for the view that everybody starts with", () => {
    expect(searchOf(viewFrom({}))).toEqual({});
    expect(viewFrom({})).toEqual({
      q: "",
      status: [],
      trust: [],
      platform: [],
      owner: [],
      tag: [],
      sort: { column: "name", descending: false },
      columns: COLUMN_IDS,
      widths: {},
    });
  });

  it("says a view in words that people can read", () => {
    const chosen = view({
      q: "web",
      status: ["offline", "unknown"],
      sort: { column: "seen", descending: true },
      columns: ["status", "name"],
      widths: { name: 200.4 },
    });
    expect(searchOf(chosen)).toEqual({ q: "web", status: "offline,unknown", sort: "-seen", cols: "status,name:200" });
  });

  it.each(seeds(100))("gives back what was put in, through a real address, with seed %i", (seed) => {
    const random = chance(seed);
    const words = ["a", "Windows 11", "50%", "a,b", "%2C", "ü", "&=?#", "nobody", "a%2Cb", "名"];
    const some = () => words.filter(() => random.happens(0.3));
    const columns = COLUMN_IDS.filter(() => random.happens(0.6));
    const before = view({
      q: random.pick(["", ...words]),
      status: some(),
      trust: some(),
      platform: some(),
      owner: some(),
      sort: { column: random.pick(COLUMN_IDS), descending: random.happens(0.5) },
      columns: columns.length ? random.shuffled(columns) : COLUMN_IDS,
      widths: {},
    });
    for (const id of before.columns) if (random.happens(0.4)) before.widths[id] = 50 + random.integer(300);
    const address = new URLSearchParams(/** @type {any} */ (searchOf(before))).toString();
    expect(viewFrom(searchFrom(Object.fromEntries(new URLSearchParams(address))))).toEqual(before);
  });

  it("may hold anything: what means nothing is left out", () => {
    expect(
      searchFrom({ q: 7, status: null, trust: undefined, platform: "", page: "3", __proto__: { owner: "x" } }),
    ).toEqual({
      q: "7",
      owner: "x",
    });
    expect(
      viewFrom({ sort: "-nothing", cols: "nothing,name:abc,seen:-5,status:90", platform: ",,a%ZZ," }),
    ).toMatchObject({
      sort: { column: "name", descending: false },
      columns: ["name", "seen", "status"],
      widths: { status: 90 },
      platform: ["a%ZZ"],
    });
    expect(viewFrom({ cols: "nothing" }).columns).toBe(COLUMN_IDS);
  });

  it("shows a column once, however often it is named", () => {
    expect(viewFrom({ cols: "name,status,name:90" }).columns).toEqual(["name", "status"]);
  });
});

describe("which devices belong to a view", () => {
  const web = device({
    id: 1,
    device_name: "Web 1",
    hostname: "web-1",
    platform: "Linux",
    owner: null,
    status: "offline",
    tags: { role: "web", laptop: "" },
  });

  it.each([
    ["", true],
    ["  ", true],
    ["WEB", true],
    ["web linux", true],
    ["web windows", false],
    ["role=web", true],
    ["role=", true],
    ["laptop", true],
    ["laptop=", false],
    [web.machine_id, true],
    [web.source_ip, true],
    [web.ip_address, true],
    ["1\nweb", true],
  ])("a search for %j → %s", (q, found) => {
    expect(matcher(view({ q }))(web)).toBe(found);
  });

  it.each(
    /** @type {[Partial<import("./view").Facets>, boolean][]} */ ([
      [{ status: ["offline"] }, true],
      [{ status: ["online"] }, false],
      [{ status: ["online", "offline"] }, true],
      [{ status: ["offline"], platform: ["Windows 11"] }, false],
      [{ owner: [NOBODY] }, true],
      [{ owner: ["admin@example.test"] }, false],
      [{ trust: ["trusted"] }, true],
    ]),
  )("the facets %j → %s", (facets, found) => {
    expect(matcher(view(facets))(web)).toBe(found);
  });

  it("is found out anew for a device that changed", () => {
    const matches = matcher(view({ q: "renamed" }));
    expect(matches(web)).toBe(false);
    expect(matches({ ...web, device_name: "renamed" })).toBe(true);
  });

  it("searches all that a row shows", () => {
    const text = haystack(device({ agent_version: "9.9.9", owner: "someone@example.test" }));
    for (const word of ["9.9.9", "someone@example.test", "desktop-abc123", "windows 11"]) expect(text).toContain(word);
  });
});

describe("a facet", () => {
  it("counts its values, most first, then by name", () => {
    const devices = ["b", "a", "c", "c"].map((platform, id) => device({ id, platform }));
    expect(facetValues(devices, "platform")).toEqual([
      { value: "c", count: 2 },
      { value: "a", count: 1 },
      { value: "b", count: 1 },
    ]);
    expect(facetValues([device({ owner: null })], "owner")).toEqual([{ value: NOBODY, count: 1 }]);
  });
});

it("is filtered by a word or a facet, not by white space, a sort or columns", () => {
  expect(isFiltered(view({ q: "x" }))).toBe(true);
  for (const facet of FACETS) expect(isFiltered(view({ [facet]: ["x"] }))).toBe(true);
  expect(isFiltered(view({ q: "  ", sort: { column: "seen", descending: true }, columns: ["name"] }))).toBe(false);
});
