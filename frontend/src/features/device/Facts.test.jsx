import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { device } from "../../test-support";
import { Facts } from "./Facts";

/** What stands beside a label. */
const beside = (/** @type {string} */ label) => screen.getByText(label).nextElementSibling;

describe("what is known about a device", () => {
  it("says when it was first seen, which is when it registered for the first time, and when last", () => {
    const [first, last] = ["2026-01-09T08:00:00.000Z", "2026-02-09T08:00:00.000Z"];
    render(<Facts device={device({ created_at: first, last_seen: last })} />);
    expect(beside("First seen")?.querySelector("time")?.getAttribute("datetime")).toBe(first);
    expect(beside("Last seen")?.querySelector("time")?.getAttribute("datetime")).toBe(last);
  });

  it("says that a machine only watches", () => {
    render(<Facts device={device({ facts: { tasks: "refused: it only watches" } })} />);
    expect(beside("Tasks")?.textContent).toBe("refused: it only watches");
  });
});
