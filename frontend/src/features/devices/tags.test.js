/** Tags as people type them. */
import { describe, expect, it } from "vitest";
import { device } from "../../test-support";
import { fromAgent, ownTagTexts, parseTag, tagMatcher, tagTexts } from "./tags";

describe("what is typed", () => {
  it.each([
    ["role=web", { name: "role", value: "web" }],
    ["  role = web server ", { name: "role", value: "web server" }],
    ["laptop", { name: "laptop", value: "" }],
    ["laptop=", { name: "laptop", value: "" }],
    ["query=a=b=c", { name: "query", value: "a=b=c" }],
    ["größe=XL", { name: "größe", value: "XL" }],
  ])("%j is a tag", (text, tag) => {
    expect(parseTag(text)).toEqual(tag);
  });

  it.each(["", "   ", "=web", " = web", "two words=x", "a,b=x", "!a", "(a)=x", "a\tb"])(
    "%j is none, and says why",
    (text) => {
      expect(parseTag(text)).toEqual({ problem: expect.stringMatching(/\.$/) });
    },
  );
});

it("is shown as it was typed", () => {
  for (const text of ["role=web", "laptop", "query=a=b"]) {
    const tag = parseTag(text);
    if ("problem" in tag) throw new Error(tag.problem);
    expect(ownTagTexts(device({ tags: { [tag.name]: tag.value } }))).toEqual([text]);
  }
});

it("the agent's tags without those that people have set", () => {
  const agent_tags = { role: "web", site: "berlin", old: "" };
  expect(fromAgent({ tags: { role: "db", old: "" }, agent_tags })).toEqual([["site", "berlin"]]);
});

it("all that count, each once, people's first", () => {
  const mixed = { tags: { role: "db" }, agent_tags: { role: "web", site: "berlin" } };
  expect(tagTexts(mixed)).toEqual(["role=db", "site=berlin"]);
  expect(ownTagTexts(mixed)).toEqual(["role=db"]);
});

it.each([
  [[], true],
  [["role=db"], true],
  [["role=web"], false], // the agent's, and people said otherwise
  [["role=web", "role=db"], true],
  [["role=db", "site=berlin"], true],
  [["role=db", "site=oslo"], false],
  [["laptop"], true],
  [["laptop=old"], false],
])("a device with %j chosen: %s", (chosen, expected) => {
  const matches = tagMatcher(chosen);
  expect(matches({ tags: { role: "db" }, agent_tags: { role: "web", site: "berlin", laptop: "" } })).toBe(expected);
});
