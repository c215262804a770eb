/** The counters are the live rows, counted: they change with each event, and each is a filter. */
import { MantineProvider } from "@mantine/core";
import { act, render, screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forgetEverything, store } from "../../live";
import { golden } from "../../test-support";
import { Counters } from "./Counters";
import { viewFrom } from "./view";

/** @param {[string, any][]} events */
function receive(...events) {
  act(() => {
    for (const event of events) store.dispatch(...event);
    store.flush();
  });
}

/** @param {Partial<import("./view").View>} [part] */
function show(part = {}) {
  const onChange = vi.fn();
  render(
    <MantineProvider env="test">
      <Counters view={{ ...viewFrom({}), ...part }} onChange={onChange} />
    </MantineProvider>,
  );
  return onChange;
}

const numbers = () =>
  Object.fromEntries(
    screen.queryAllByTestId(/^count-/).map(({ dataset, textContent }) => [dataset.testid?.slice(6), textContent]),
  );

const snapshot = () =>
  receive(
    ["snapshot_begin", golden("snapshot_begin")],
    ["snapshot_devices", golden("snapshot_devices")],
    ["snapshot_end", golden("snapshot_end")],
  );

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
});
afterEach(() => {
  act(forgetEverything);
});

describe("the numbers", () => {
  it("are not shown before the first list is whole", () => {
    show();
    receive(["snapshot_begin", golden("snapshot_begin")], ["snapshot_devices", golden("snapshot_devices")]);
    expect(numbers()).toEqual({});
    receive(["snapshot_end", golden("snapshot_end")]);
    expect(numbers()).toEqual({ online: "1", offline: "1", unknown: "0", pending: "0", quarantined: "0" });
  });

  it("change when a device goes", () => {
    show();
    snapshot();
    receive(["device_status_changed", golden("device_status_changed")]);
    expect(numbers()).toMatchObject({ online: "0", offline: "2" });
  });
});

describe("a counter", () => {
  it("has its colour, an icon and a word", () => {
    show();
    const offline = screen.getByTestId("counter-offline");
    expect(offline.dataset.state).toBe("offline");
    expect(offline.querySelector("svg")?.innerHTML).toBeTruthy();
    expect(offline.textContent).toContain("Offline");
  });

  it("filters the list to exactly its devices, and takes the filter off again", async () => {
    const filter = show();
    await userEvent.click(screen.getByTestId("counter-offline"));
    await userEvent.click(screen.getByTestId("counter-pending"));
    expect(filter.mock.calls).toEqual([[{ status: ["offline"] }], [{ trust: ["pending"] }]]);
  });

  it("that is on says so", async () => {
    const filter = show({ status: ["offline"] });
    const pressed = screen.getByRole("button", { pressed: true });
    expect(pressed).toBe(screen.getByTestId("counter-offline"));
    await userEvent.click(pressed);
    expect(filter).toHaveBeenCalledExactlyOnceWith({ status: [] });
  });
});
