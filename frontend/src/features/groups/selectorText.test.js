/** Values as a selector writes them, and the place of a mistake. */
import { expect, it } from "vitest";
import { around, groupSelector, valueOf } from "./selectorText";

it.each([
  ["web-1.example:80", "web-1.example:80"],
  ["two words", '"two words"'],
  ['a"b\\c*', '"a\\"b\\\\c\\*"'],
  ["", '""'],
])("%j is written %s", (text, written) => {
  expect(valueOf(text)).toBe(written);
});

it("names a group", () => {
  expect(groupSelector("berlin")).toBe("group=berlin");
  expect(groupSelector("my pets")).toBe('group="my pets"');
});

it.each([
  ["role=web,", 10, ["role=web,", "", ""]],
  ["a==,b", 4, ["a==", ",", "b"]],
  ["😀 b!", 4, ["😀 b", "!", ""]],
  ["x", 99, ["x", "", ""]],
])("%s is wrong at %i", (selector, position, parts) => {
  expect(around(selector, position)).toEqual(parts);
});
