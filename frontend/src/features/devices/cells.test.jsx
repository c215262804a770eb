/** What a row says of a device that is away: red by its mark, why, and since when. */
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { now } from "../../lib/clock";
import { exactTime } from "../../lib/time";
import { device } from "../../test-support";
import { CELLS, Status } from "./cells";
import { COLUMN_IDS } from "./columns";

/** @param {number} seconds */
const ago = (seconds) => new Date(now() - seconds * 1000).toISOString();

describe("the status of a device", () => {
  it("that is offline has its cause and its time, in words and exactly", () => {
    const since = ago(125);
    const detail = "no pong within the ping timeout";
    const { container } = render(
      <Status device={device({ status: "offline", status_since: since, status_detail: detail })} />,
    );
    expect(screen.getByText("Offline").dataset.state).toBe("offline");
    expect(screen.getByText("2 min ago")).toBeDefined();
    expect(container.querySelector("time")?.title).toBe(exactTime(since));
    expect(container.textContent).toContain(`: ${detail}`);
  });

  it("that is online says since when, and the reason only to whoever points at it", () => {
    const { container } = render(<Status device={device({ status: "online", status_since: ago(7300) })} />);
    expect(screen.getByText("Online").dataset.state).toBe("online");
    expect(screen.getByText("for 2 h")).toBeDefined();
    expect(container.textContent).not.toContain("registered from");
    expect(container.querySelector('[title^="registered from"]')).not.toBeNull();
  });

  it.each(/** @type {const} */ ([["pending"], ["quarantined"], ["unverified"]]))(
    "names a device that is %s",
    (trust) => {
      const { container } = render(<Status device={device({ trust })} />);
      expect([...container.querySelectorAll("[data-state]")].map((mark) => mark.getAttribute("data-state"))).toEqual([
        "online",
        trust,
      ]);
    },
  );

  it("that is trusted says no more than that it is there", () => {
    const { container } = render(<Status device={device({ trust: "trusted" })} />);
    expect(container.querySelectorAll("[data-state]")).toHaveLength(1);
  });
});

describe("tags", () => {
  const tags = { laptop: "", role: "web", site: "berlin" };

  it("that find no room are counted, and all are told to whoever points at them", () => {
    const { container } = render(<>{CELLS.tags(device({ tags }), 1)}</>);
    expect(container.textContent).toBe("laptop+2");
    expect(container.querySelector("[title]")?.getAttribute("title")).toBe("laptop\nrole=web\nsite=berlin");
  });

  it("that find room are all there", () => {
    const { container } = render(<>{CELLS.tags(device({ tags }), 3)}</>);
    expect(container.textContent).toBe("laptoprole=website=berlin");
  });
});

describe("every column", () => {
  it("but the name, which is a link, has a cell that takes a device with nothing in it", () => {
    expect(Object.keys(CELLS).sort()).toEqual(COLUMN_IDS.filter((id) => id !== "name").sort());
    const bare = device({ owner: null, last_seen: null, status_since: null, status_detail: "", agent_version: "" });
    for (const cell of Object.values(CELLS)) expect(() => render(<>{cell(bare, 1)}</>)).not.toThrow();
    expect(screen.getByText("never")).toBeDefined();
  });
});
