/** Settings outlive the page; a storage that is full, forbidden or full of nonsense breaks nothing. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createStoredAtom, load, save } from "./storage";

/** @param {unknown} value @returns {value is number} */
const isNumber = (value) => typeof value === "number";

afterEach(() => {
  vi.unstubAllGlobals();
  localStorage.clear();
});

describe("what is kept", () => {
  it("is found again by a later page", () => {
    createStoredAtom("size", 1, isNumber).set(7);
    expect(createStoredAtom("size", 1, isNumber).get()).toBe(7);
    expect(localStorage.getItem("size")).toBe("7");
  });

  it("is written only when it changes", () => {
    const atom = createStoredAtom("size", 1, isNumber);
    atom.set(1);
    expect(localStorage.getItem("size")).toBeNull();
  });
});

describe("the fallback stands", () => {
  it("when there is nothing", () => {
    expect(load("size", 1, isNumber)).toBe(1);
  });

  it.each(["{", "", '"seven"', "null", "undefined", "[1]"])("when there is %j", (text) => {
    localStorage.setItem("size", text);
    expect(load("size", 1, isNumber)).toBe(1);
  });

  it("when the storage may not be used at all", () => {
    const forbidden = () => {
      throw new DOMException("no", "SecurityError");
    };
    vi.stubGlobal("localStorage", { getItem: forbidden, setItem: forbidden, clear: () => {} });
    const atom = createStoredAtom("size", 1, isNumber);
    atom.set(7);
    expect(atom.get()).toBe(7);
    expect(() => save("size", 8)).not.toThrow();
  });
});
