/** When the store tells whoever watches: once per frame, also where there are no frames, and never of nothing. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { now, setServerTime } from "../lib/clock";
import { at, device, golden } from "../test-support";
import { emptyState } from "./rows";
import { createStore } from "./store";

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse(at(0)) });
});
afterEach(() => {
  setServerTime(new Date().toISOString());
  vi.useRealTimers();
  Reflect.deleteProperty(document, "hidden");
});

/** @param {number} id @param {number} [rev] */
const rowEvent = (id, rev = 1) => /** @type {const} */ (["devices_changed", { devices: [device({ id, rev })] }]);

function watched() {
  const store = createStore();
  const heard = vi.fn();
  return { store, heard, stop: store.subscribe(heard) };
}

describe("a frame", () => {
  it("tells once of all that a thousand events changed, in their order", () => {
    const { store, heard } = watched();
    for (let id = 1; id <= 1000; id += 1) store.dispatch(...rowEvent(id));
    store.dispatch("devices_changed", { removed: [{ id: 1000, rev: 2 }] });
    expect(heard).not.toHaveBeenCalled();
    expect(store.get().devices.size).toBe(0);
    vi.advanceTimersByTime(20);
    expect(heard).toHaveBeenCalledOnce();
    expect(store.get().devices.size).toBe(999);
    vi.advanceTimersByTime(1000);
    expect(heard).toHaveBeenCalledOnce();
  });

  it("is followed by another for what comes later", () => {
    const { store, heard } = watched();
    store.dispatch(...rowEvent(1));
    vi.advanceTimersByTime(20);
    store.dispatch(...rowEvent(2));
    vi.advanceTimersByTime(20);
    expect(heard.mock.calls.map(([{ touched }]) => [...touched])).toEqual([[1], [2]]);
  });

  it("is not needed by a hidden page", () => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    const frame = vi.spyOn(globalThis, "requestAnimationFrame");
    const { store, heard } = watched();
    store.dispatch(...rowEvent(1));
    vi.advanceTimersByTime(300);
    expect(heard).toHaveBeenCalledOnce();
    expect(frame).not.toHaveBeenCalled();
  });

  it("that never comes, because the page was hidden meanwhile, is not waited for", () => {
    vi.spyOn(globalThis, "requestAnimationFrame").mockReturnValue(0);
    const { store, heard } = watched();
    store.dispatch(...rowEvent(1));
    vi.advanceTimersByTime(300);
    expect(heard).toHaveBeenCalledOnce();
  });
});

describe("whoever watches", () => {
  it("gets what was before and what is now, until it stops", () => {
    const { store, heard, stop } = watched();
    const before = store.get();
    store.dispatch(...rowEvent(1));
    store.flush();
    expect(heard.mock.lastCall?.[0].state).toBe(store.get());
    expect(heard.mock.lastCall?.[1]).toBe(before);
    stop();
    store.dispatch(...rowEvent(2));
    store.flush();
    expect(heard).toHaveBeenCalledOnce();
  });

  it("hears nothing when there was nothing", () => {
    const { store, heard } = watched();
    store.flush();
    expect(heard).not.toHaveBeenCalled();
  });
});

describe("another user", () => {
  it("finds nothing of what the one before saw, not even what was still on its way", () => {
    const { store, heard } = watched();
    store.dispatch("snapshot_begin", golden("snapshot_begin"));
    store.dispatch("snapshot_devices", golden("snapshot_devices"));
    store.dispatch("snapshot_end", golden("snapshot_end"));
    store.flush();
    store.dispatch(...rowEvent(9));
    store.reset();
    vi.advanceTimersByTime(1000);
    expect(store.get()).toEqual(emptyState());
    expect(heard.mock.lastCall?.[0]).toMatchObject({ touched: "all", transitions: [] });
  });
});

describe("a lost connection", () => {
  it("keeps what is shown, and lets a new server, which may count from the beginning, bring back what was removed", () => {
    const { store } = watched();
    store.dispatch(...rowEvent(1, 5));
    store.dispatch(...rowEvent(2, 5));
    store.dispatch("devices_changed", { removed: [{ id: 1, rev: 6 }] });
    store.dropConnection();
    expect([...store.get().devices.keys()]).toEqual([2]);
    store.dispatch(...rowEvent(1, 2));
    store.flush();
    expect(store.get().devices.get(1)?.rev).toBe(2);
  });
});

it("sets the clock of relative times by what the server says at each snapshot", () => {
  const { store } = watched();
  store.dispatch("snapshot_begin", { snapshot_id: "one", total: 0, server_time: at(3600) });
  store.flush();
  expect(now()).toBe(Date.parse(at(3600)));
  vi.advanceTimersByTime(500);
  store.dispatch(...rowEvent(1));
  store.flush();
  expect(now()).toBe(Date.parse(at(3600)) + 500);
});
