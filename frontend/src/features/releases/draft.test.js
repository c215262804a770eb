/** The manifest says what was typed, in the one order of its keys, and nothing that was not. */
import { describe, expect, it } from "vitest";
import { base64Of } from "./api";
import { EMPTY, artifactName, payloadOf, problemsOf } from "./draft";

const FILE = { name: "shop.tar.gz", size: 1234, sha256: "a".repeat(64) };

/** @param {Partial<import("./draft").Draft>} fields */
const draft = (fields) => ({ ...EMPTY, name: "shop", version: "1.4.2", ...fields });

describe("a manifest", () => {
  it("of an archive names its file, its folder and what it follows", () => {
    const before = { version: "1.4.1", number: 7, sha256: "b".repeat(64), size: 300 };
    const payload = payloadOf(
      draft({ artifact: FILE, into: "/opt/shop", strip: "1", health: "curl -fs localhost", within: "2 min" }),
      before,
    );
    expect(JSON.parse(payload)).toEqual({
      archive: { artifact: "shop.tar.gz", into: "/opt/shop", strip: 1 },
      artifacts: [FILE],
      health: { check: { shell: "curl -fs localhost" }, successes: 1, within_s: 120 },
      kind: "archive",
      name: "shop",
      number: 8,
      platforms: ["linux"],
      previous: { version: "1.4.1", sha256: "b".repeat(64), size: 300 },
      reboot: "never",
      version: "1.4.2",
    });
    expect(payload.indexOf('"archive"')).toBe(1);
    expect(payload.indexOf('"sha256"')).toBeLessThan(payload.indexOf('"size"'));
  });

  it("of a package has no file, and the version only where one is wanted", () => {
    const wanted = draft({ kind: "package", package: "nginx", artifact: FILE, packageVersion: "1.2" });
    const latest = JSON.parse(payloadOf(wanted, null));
    expect(latest).toMatchObject({ number: 1, package: { name: "nginx", state: "latest", version: "" } });
    expect(latest).not.toHaveProperty("artifacts");
    expect(latest).not.toHaveProperty("previous");
    const exact = JSON.parse(payloadOf({ ...wanted, state: "version" }, null));
    expect(exact.package.version).toBe("1.2");
  });

  it("calls a file what a manifest may call it", () => {
    expect(artifactName("My shop (1).tar.gz")).toBe("My-shop-1-.tar.gz");
    expect(artifactName("…")).toBe("file");
    expect(artifactName(".env")).toBe("env");
  });

  it("goes into its envelope byte for byte, whatever language it is in", () => {
    const text = JSON.stringify({ description: "größer → 大" });
    expect(new TextDecoder().decode(Uint8Array.from(atob(base64Of(text)), (one) => one.charCodeAt(0)))).toBe(text);
  });
});

describe("what is missing", () => {
  it("is said of the kind that was chosen alone", () => {
    expect(Object.keys(problemsOf(draft({})))).toEqual(["artifact", "into"]);
    expect(Object.keys(problemsOf(draft({ kind: "script" })))).toEqual(["install", "detect"]);
    expect(Object.keys(problemsOf(draft({ kind: "package" })))).toEqual(["package"]);
    expect(problemsOf(draft({ kind: "file", artifact: FILE, path: "/etc/motd" }))).toEqual({});
  });

  it.each([
    ["name", "Shop"],
    ["name", "-shop"],
    ["version", "1 4"],
    ["mode", "999"],
    ["path", "etc/motd"],
    ["confirm", "soon"],
    ["within", "a bit"],
  ])("%s %j", (field, text) => {
    const one = draft({ kind: "file", artifact: FILE, path: "/etc/motd", health: "true", [field]: text });
    expect(problemsOf(one)).toHaveProperty(field);
  });
});
