/** A lost link is said with its age and its countdown, and never where there is nothing to say. */
import { MantineProvider } from "@mantine/core";
import { act, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { link } from "../../live";
import { at } from "../../test-support";
import { LinkBanner } from "./LinkBanner";
import { LinkMark } from "./LinkMark";

const START = Date.parse(at(0));
const IDLE = link.get();

/** @param {Partial<import("../../live/link").Link>} now */
function show(now) {
  link.set({ ...IDLE, ...now });
  render(
    <MantineProvider env="test">
      <LinkBanner />
      <LinkMark />
    </MantineProvider>,
  );
}

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(() => {
  act(() => link.set(IDLE));
  vi.useRealTimers();
});

describe("a lost link", () => {
  it("counts down to the next attempt, and up since when the list is old", () => {
    show({
      state: "lost",
      attempt: 1,
      retryAt: START + 8000,
      staleSince: START - 5000,
      reason: "The server is stopping.",
    });
    const banner = screen.getByTestId("link-banner");
    expect(banner.textContent).toContain("The link to the server is lost.");
    expect(banner.textContent).toContain("The server is stopping.");
    expect(banner.textContent).toContain("Next attempt in 8 s.");
    expect(screen.getByTestId("stale-age").textContent).toBe("5 s");
    act(() => vi.advanceTimersByTime(3000));
    expect(banner.textContent).toContain("Next attempt in 5 s.");
    expect(screen.getByTestId("stale-age").textContent).toBe("8 s");
    expect(screen.getByTestId("link-state").textContent).toBe("Link lost");
    expect(screen.getByRole("button", { name: "Try now" }).hasAttribute("disabled")).toBe(false);
  });

  it("speaks of no old list when none was ever shown", () => {
    show({ state: "lost", attempt: 1, retryAt: START + 1000, reason: "The server cannot be reached." });
    expect(screen.getByTestId("link-banner").textContent).toContain("No link to the server.");
    expect(screen.queryByTestId("stale-age")).toBeNull();
  });

  it.each(/** @type {const} */ ([["connecting"], ["syncing"]]))("stays on the screen while it is %s", (state) => {
    show({ state, attempt: 2, staleSince: START, reason: "gone" });
    expect(screen.getByTestId("link-banner").textContent).toMatch(state === "connecting" ? /Connecting…/ : /Loading/);
    expect(screen.getByRole("button", { name: "Try now" }).hasAttribute("disabled")).toBe(true);
  });
});

it.each(/** @type {const} */ ([["idle"], ["connecting"], ["syncing"], ["live"]]))(
  "says nothing when it is %s for the first time",
  (state) => {
    show({ state });
    expect(screen.queryByTestId("link-banner")).toBeNull();
    expect(screen.getByTestId("link-state").dataset.state).toBe(state);
  },
);
