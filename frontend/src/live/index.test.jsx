/** What pages see of the live side: a device with the user's own change on top, and why actions are off. */
import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { device, golden } from "../test-support";
import {
  forgetEverything,
  link,
  notices,
  optimistic,
  store,
  useActionsOff,
  useDevice,
  useLive,
  useLoaded,
  usePending,
} from ".";

/** @param {[string, any][]} events */
function receive(...events) {
  act(() => {
    for (const event of events) store.dispatch(...event);
    store.flush();
  });
}

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
});
afterEach(() => {
  act(forgetEverything);
});

describe("a device on the screen", () => {
  it("shows the user's change until the server has answered, then what the server says", async () => {
    receive(["devices_changed", { devices: [device({ id: 1, rev: 1, device_name: "old" })] }]);
    const { result } = renderHook(() => ({ device: useDevice(1), pending: usePending(1) }));
    expect(result.current).toMatchObject({ device: { device_name: "old" }, pending: false });

    /** @type {(value?: unknown) => void} */
    let refuse = () => {};
    /** @type {Promise<unknown> | undefined} */
    let answered;
    act(() => {
      answered = optimistic.during(1, { device_name: "mine" }, () => new Promise((_, reject) => (refuse = reject)));
    });
    expect(result.current).toMatchObject({ device: { device_name: "mine", rev: 1 }, pending: true });
    await act(async () => {
      refuse(new Error("No."));
      await answered?.catch(() => {});
    });
    expect(result.current).toMatchObject({ device: { device_name: "old" }, pending: false });
  });

  it("renders anew when it changes, and not when another does", () => {
    receive(["devices_changed", { devices: [device({ id: 1, rev: 1 }), device({ id: 2, rev: 1 })] }]);
    const seen = vi.fn();
    renderHook(() => seen(useDevice(1)));
    receive(["devices_changed", { devices: [device({ id: 2, rev: 2 })] }]);
    expect(seen).toHaveBeenCalledTimes(1);
    receive(["device_status_changed", { ...golden("device_status_changed"), id: 1, rev: 2 }]);
    expect(seen).toHaveBeenCalledTimes(2);
    expect(seen.mock.lastCall?.[0]).toMatchObject({ status: "offline" });
  });

  it("is nothing when it is gone", () => {
    const { result } = renderHook(() => useDevice(1));
    expect(result.current).toBeUndefined();
    receive(["devices_changed", { devices: [device({ id: 1, rev: 1 })] }]);
    expect(result.current?.id).toBe(1);
    receive(["devices_changed", { removed: [{ id: 1, rev: 2 }] }]);
    expect(result.current).toBeUndefined();
  });
});

it("does not render the counters anew for heartbeats", () => {
  receive(["devices_changed", { devices: [device({ id: 1, rev: 1, last_seen: null })] }]);
  const seen = vi.fn();
  renderHook(() => seen(useLive((state) => state.counts)));
  receive(["devices_changed", { seen: [{ at: "2026-03-01T09:00:00.000Z", ids: [1] }] }]);
  expect(store.get().devices.get(1)?.last_seen).toBe("2026-03-01T09:00:00.000Z");
  expect(seen).toHaveBeenCalledTimes(1);
});

it("has actions on only while the link is live", () => {
  const idle = link.get();
  const { result } = renderHook(useActionsOff);
  for (const state of /** @type {const} */ (["idle", "connecting", "syncing", "lost"])) {
    act(() => link.set({ ...idle, state }));
    expect(result.current).toMatch(/^The link to the server is lost/);
  }
  act(() => link.set({ ...idle, state: "live" }));
  expect(result.current).toBeNull();
});

it("forgets everything that this user saw", () => {
  const { result } = renderHook(useLoaded);
  receive(
    ["snapshot_begin", golden("snapshot_begin")],
    ["snapshot_devices", golden("snapshot_devices")],
    ["snapshot_end", golden("snapshot_end")],
    ["device_status_changed", golden("device_status_changed")],
  );
  void optimistic.during(1, {}, () => new Promise(() => {}));
  expect([result.current, notices.get().length]).toEqual([true, 1]);
  act(forgetEverything);
  expect(result.current).toBe(false);
  expect([store.get().devices.size, store.get().claims.length, notices.get().length, optimistic.get().size]).toEqual([
    0, 0, 0, 0,
  ]);
});
