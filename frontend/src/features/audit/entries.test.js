import { describe, expect, test } from "vitest";
import { didOf, exportUrl, placeOf, valueOf, whatOf, whoOf } from "./entries";

/** @param {Partial<import("./entries").Entry>} values @returns {import("./entries").Entry} */
const entry = (values) => ({
  seq: 1,
  at: "2026-01-31T08:00:00.000000Z",
  actor_kind: "user",
  actor: "ada@example.test",
  actor_id: 1,
  via: "session 1",
  source_ip: "192.0.2.1",
  action: "group.created",
  object_kind: "group",
  object_id: "7",
  object_name: "web",
  details: {},
  prev_hash: "",
  hash: "",
  ...values,
});

describe("an entry reads as a sentence", () => {
  test.each([
    [{}, "ada@example.test made the group web"],
    [{ object_name: "" }, "ada@example.test made the group 7"],
    [{ action: "user.signed_in", object_name: "ada@example.test" }, "ada@example.test signed in "],
    [{ action: "user.sign_in_refused", actor_kind: "nobody", actor: "" }, "someone unknown was refused to sign in "],
    [{ action: "rocket.launched", object_name: "moon" }, "ada@example.test rocket.launched moon"],
  ])("%j", (values, sentence) => {
    const one = entry(values);
    expect(`${whoOf(one)} ${didOf(one)} ${whatOf(one)}`).toBe(sentence);
  });
});

test("what has a page is linked to it", () => {
  expect(placeOf(entry({}))).toBeNull();
  expect(placeOf(entry({ object_kind: "device", object_id: "4" }))).toBe("/devices/4");
  expect(placeOf(entry({ object_kind: "output", object_id: "r1" }))).toBe("/runs/r1");
  expect(placeOf(entry({ object_kind: "task", object_id: "t1", details: { run_id: "r1" } }))).toBe("/runs/r1?task=t1");
  expect(placeOf(entry({ object_kind: "device", object_id: "" }))).toBeNull();
});

test("a change shows both sides", () => {
  expect(valueOf(["old", "new"])).toBe("old → new");
  expect(valueOf([{}, { role: "web" }])).toBe('{} → {"role":"web"}');
  expect(valueOf(["", "new"])).toBe("“” → new");
  expect(valueOf(null)).toBe("none");
  expect(valueOf(3)).toBe("3");
});

test("an export has the filter of the list", () => {
  expect(exportUrl({})).toBe("/api/v1/audit/export");
  expect(exportUrl({ action: "run", actor: "a b", object: "" })).toBe("/api/v1/audit/export?action=run&actor=a+b");
});
