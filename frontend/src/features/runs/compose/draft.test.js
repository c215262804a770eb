/** What is typed, and the request that it is. */
import { describe, expect, it } from "vitest";
import { chance, seeds } from "../../../test-support";
import { EMPTY, commandOf, draftOf, isAdvanced, parseEnv, requestOf } from "./draft";
import { durationText, parseDuration } from "./durations";
import { joinWords, looksLikeShell, splitWords } from "./words";

/** @param {Partial<import("./draft").Draft>} fields */
const draft = (fields) => ({ ...EMPTY, selector: "*", command: "uptime", ...fields });

describe("a line of words", () => {
  it.each([
    ["uptime", ["uptime"]],
    ["  ls   -l  ", ["ls", "-l"]],
    [`echo 'a b' "c d"`, ["echo", "a b", "c d"]],
    [`printf '%s\\n' "it's \\"so\\""`, ["printf", "%s\\n", `it's "so"`]],
    [`a\\ b ''`, ["a b", ""]],
    [`"$HOME" *`, ["$HOME", "*"]],
    ["", []],
  ])("%s", (line, words) => {
    expect(splitWords(line)).toEqual({ words, problem: null });
  });

  it("says what is open", () => {
    expect(splitWords("echo 'a").problem).toMatch(/quote is open/);
    expect(splitWords("echo \\").problem).toMatch(/backslash/);
  });

  it.each(seeds(50))("comes back as it was, with seed %i", (seed) => {
    const random = chance(seed);
    const words = Array.from({ length: 1 + random.integer(5) }, () =>
      Array.from({ length: random.integer(6) }, () => random.pick(["a", " ", "'", '"', "\\", "$", "\n", "é"])).join(""),
    );
    expect(splitWords(joinWords(words))).toEqual({ words, problem: null });
  });

  it("is told from what only a shell understands", () => {
    expect(looksLikeShell(["ps", "|", "grep", "x"])).toBe("|");
    expect(looksLikeShell(["echo", "$HOME"])).toBe("$HOME");
    expect(looksLikeShell(["grep", "a|b", "x;y"])).toBeNull();
  });
});

describe("a duration", () => {
  it.each([
    ["90", 90],
    ["30s", 30],
    ["5 min", 300],
    ["1.5 h", 5400],
    ["2 D", 172_800],
    ["", null],
    ["soon", null],
    ["-3 s", null],
    ["5 weeks", null],
  ])("%s", (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it("is written so that it is read again", () => {
    for (const seconds of [1, 59, 60, 3600, 5400, 86_400, 90_061])
      expect(parseDuration(durationText(seconds))).toBe(seconds);
  });
});

describe("a request", () => {
  it("holds what was typed", () => {
    const { request, problems } = requestOf(
      draft({
        command: "df -h /",
        env: "A=1\n\nB=x=y",
        user: " root ",
        timeout: "5 min",
        maxParallel: "20",
        quotaMiB: "8",
      }),
    );
    expect(problems).toEqual({});
    expect(request).toEqual({
      command: ["df", "-h", "/"],
      user: "root",
      cwd: "",
      env: { A: "1", B: "x=y" },
      timeout_s: 300,
      expires_s: 86_400,
      max_parallel: 20,
      output_quota_bytes: 8 << 20,
      targets: { selector: "*" },
    });
  });

  it("is of one kind", () => {
    expect(requestOf(draft({ kind: "shell", shell: "a | b" })).request).toMatchObject({ shell: "a | b" });
    const script = requestOf(draft({ kind: "script", script: "print(1)", interpreter: "python3 -u", args: "a 'b c'" }));
    expect(script.request).toMatchObject({ script: "print(1)", interpreter: ["python3", "-u"], args: ["a", "b c"] });
    expect(script.request).not.toHaveProperty("command");
    expect(requestOf(draft({ kind: "script", script: "#!/bin/sh\nls" })).request?.interpreter).toEqual([]);
  });

  it("names devices by id or by selector", () => {
    expect(requestOf(draft({ by: "devices", ids: [3, 4] })).request?.targets).toEqual({ device_ids: [3, 4] });
    expect(requestOf(draft({ by: "devices" })).problems).toHaveProperty("ids");
    expect(requestOf(draft({ selector: "  " })).problems).toHaveProperty("selector");
  });

  /** @type {[Partial<import("./draft").Draft>, string][]} */
  const wrong = [
    [{ command: "" }, "command"],
    [{ command: "echo 'a" }, "command"],
    [{ kind: "shell", shell: " " }, "shell"],
    [{ kind: "script", script: "", interpreter: "sh" }, "script"],
    [{ kind: "script", script: "ls" }, "interpreter"],
    [{ env: "nothing" }, "env"],
    [{ env: "A=1\nA=2" }, "env"],
    [{ env: "1A=2" }, "env"],
    [{ cwd: "srv" }, "cwd"],
    [{ timeout: "8 d" }, "timeout"],
    [{ timeout: "0" }, "timeout"],
    [{ expires: "31 d" }, "expires"],
    [{ maxParallel: "0" }, "maxParallel"],
    [{ quotaMiB: "1025" }, "quotaMiB"],
  ];
  it.each(wrong)("is none while %o is wrong", (fields, field) => {
    const { request, problems } = requestOf(draft(fields));
    expect(request).toBeNull();
    expect(Object.keys(problems)).toEqual([field]);
    expect(Object.values(problems)[0]).toMatch(/[.]$/);
  });

  it("comes back as the draft it was made from", () => {
    const typed = draft({
      kind: "script",
      script: "#!/bin/sh\nls",
      args: "a 'b c'",
      env: "A=1",
      cwd: "/tmp",
      quotaMiB: "8",
    });
    const { command } = commandOf(typed);
    expect(commandOf({ ...EMPTY, ...draftOf(command) }).command).toEqual(command);
  });
});

describe("what is advanced", () => {
  it("is what differs from the beginning", () => {
    expect(isAdvanced(draft({}))).toBe(false);
    expect(isAdvanced(draft({ cwd: "/tmp" }))).toBe(true);
  });

  it("may hold empty lines and values with =", () => {
    expect(parseEnv("\nA==\n")).toEqual({ env: { A: "=" }, problem: null });
  });
});
