/** Tags as people type them. */
import { describe, expect, it } from "vitest";
import { device } from "../../test-support";
import { tagTexts } from "./columns";
import { fromAgent, parseTag } from "./tags";

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
    expect(tagTexts(device({ tags: { [tag.name]: tag.value } }))).toEqual([text]);
  }
});

it("the agent's tags without those that people have set", () => {
  const agent_tags = { role: "web", site: "berlin", old: "" };
  expect(fromAgent({ tags: { role: "db", old: "" }, agent_tags })).toEqual([["site", "berlin"]]);
});
