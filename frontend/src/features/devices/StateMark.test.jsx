import { readFileSync } from "node:fs";
import { join } from "node:path";
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { StateMark } from "./StateMark";
import { STATES } from "./states";

const read = (/** @type {string} */ path) => readFileSync(join(import.meta.dirname, path), "utf8");

/** The colours that a variable has, one for each theme, as red, green and blue. */
function colours(/** @type {string} */ variable) {
  const found = [...read("../../global.css").matchAll(new RegExp(`${variable}: #(..)(..)(..);`, "g"))];
  return found.map(([, ...parts]) => parts.map((part) => parseInt(part, 16)));
}

describe("a state", () => {
  it.each(Object.entries(STATES))(
    "%s is shown by icon and word, and its meaning is told",
    (state, { word, meaning }) => {
      render(<StateMark state={/** @type {any} */ (state)} />);
      const mark = screen.getByText(word);
      expect(mark.getAttribute("data-state")).toBe(state);
      expect(mark.getAttribute("title")).toBe(meaning);
      expect(mark.querySelector("svg")).not.toBeNull();
    },
  );

  it("has a drawing of its own, so that it is told apart without its colour", () => {
    const drawn = Object.keys(STATES).map((state) => {
      const { container } = render(<StateMark state={/** @type {any} */ (state)} />);
      return container.querySelector("svg")?.innerHTML;
    });
    expect(drawn).not.toContain("");
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  it.each(Object.keys(STATES))("%s has its colour in both themes, framed or not", (state) => {
    const css = read("StateMark.module.css");
    const selectors = `.mark[data-state="${state}"],\n.framed[data-state="${state}"]`;
    expect(css).toContain(`${selectors} {\n  color: var(--state-${state});\n}`);
    expect(colours(`--state-${state}`)).toHaveLength(2);
  });

  it("that is offline is red in both themes, and one that is online is green", () => {
    expect(read("StateMark.module.css")).toMatch(/data-state="offline"\] \{\s*color: var\(--state-offline\)/);
    expect(colours("--state-offline")).toHaveLength(2);
    for (const [red, green, blue] of colours("--state-offline"))
      expect(red).toBeGreaterThan(1.3 * Math.max(green, blue));
    for (const [red, green, blue] of colours("--state-online"))
      expect(green).toBeGreaterThan(1.3 * Math.max(red, blue));
  });
});
