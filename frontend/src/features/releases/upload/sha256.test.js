/** The hash is the one that everybody else computes, wherever the pieces are cut. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { chance, seeds } from "../../../test-support";
import { createSha256 } from "./sha256";

/** @param {Uint8Array} bytes */
const theirs = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** @param {Uint8Array} bytes @param {() => number} next how long the next piece is */
function ours(bytes, next) {
  const hash = createSha256();
  for (let at = 0; at < bytes.length;) {
    const length = Math.min(bytes.length - at, next());
    hash.update(bytes.subarray(at, at + length));
    at += length;
  }
  return hash.hex();
}

/** @param {import("../../../test-support").Chance} random @param {number} length */
const noise = (random, length) => Uint8Array.from({ length }, () => random.integer(256));

describe("the hash", () => {
  it("of nothing and of the standard's examples is known", () => {
    const text = (/** @type {string} */ words) => ours(new TextEncoder().encode(words), () => 7);
    expect(text("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(text("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).toBe(
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    );
  });

  it("is right for every length about the ends of a block", () => {
    const random = chance(1);
    for (let length = 0; length <= 260; length += 1) {
      const bytes = noise(random, length);
      expect(ours(bytes, () => 300)).toBe(theirs(bytes));
    }
  });

  it("does not depend on where it was cut", () => {
    for (const seed of seeds(40)) {
      const random = chance(seed);
      const bytes = noise(random, 1 + random.integer(3000));
      expect(ours(bytes, () => 1 + random.integer(200))).toBe(theirs(bytes));
    }
  });

  it("looks at the part of a buffer that it was given, and at nothing beside it", () => {
    const whole = noise(chance(3), 1000);
    const part = new Uint8Array(whole.buffer, 13, 700);
    expect(ours(part, () => 129)).toBe(theirs(part));
  });
});
