/** An action says how many devices it is about, how many of them are offline, and what is lost. */
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { device } from "../../test-support";
import { DeleteWords, howMany } from "./words";

const online = device({ device_name: "web-1" });
const offline = device({ device_name: "web-2", status: "offline" });

describe("how many", () => {
  it.each([
    [[online], "1 device"],
    [[offline], "1 device, offline"],
    [[online, online], "2 devices"],
    [[online, offline], "2 devices, 1 of them offline"],
    [[offline, offline], "2 devices, all of them offline"],
  ])("devices are meant", (devices, words) => {
    expect(howMany(devices)).toBe(words);
  });
});

describe("deleting", () => {
  it("one device speaks of one", () => {
    const { container } = render(<DeleteWords devices={[online]} />);
    expect(container.textContent).toContain("web-1");
    expect(screen.getByText(/^Its history goes too/)).toBeDefined();
  });

  it("several speaks of several", () => {
    render(<DeleteWords devices={[online, offline]} />);
    expect(screen.getByText(/^Their history goes too/)).toBeDefined();
  });
});
