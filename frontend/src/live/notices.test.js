/** What people are told of devices that come and go, and the lines that the specification gives to the frontend. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { setServerTime } from "../lib/clock";
import { at, chance, device, golden, seeds } from "../test-support";
import { log } from "./log";
import { GROUP_MAX_MS, GROUP_MS, addTransitions, createNotices, kindOf, names, sentence } from "./notices";
import { createStore } from "./store";

/** @typedef {import("./notices").Notice} Notice */

const START = Date.parse(at(0));

/** @param {Partial<import("./rows").Device>} fields @param {import("./rows").Device["status"] | null} [from] */
const transition = (fields, from = fields.status === "online" ? "offline" : "online") => ({
  device: device(fields),
  from,
});

/** @param {number} count @param {import("./rows").Device["status"]} status @param {number} [first] */
const many = (count, status, first = 1) =>
  Array.from({ length: count }, (_, index) =>
    transition({ id: first + index, device_name: `web-${first + index}`, status, status_detail: "" }),
  );

/** A page that has its first list, and whose time stands still. @param {Partial<import("./rows").Device>[]} rows */
function page(...rows) {
  const store = createStore({ schedule: () => {} });
  const notices = createNotices({ store, log });
  /** @param {[string, any][]} events */
  function receive(...events) {
    for (const event of events) store.dispatch(...event);
    store.flush();
  }
  /** @param {string} id @param {Partial<import("./rows").Device>[]} devices */
  function snapshot(id, ...devices) {
    receive(
      ["snapshot_begin", { snapshot_id: id, total: devices.length, server_time: new Date().toISOString() }],
      ["snapshot_devices", { snapshot_id: id, devices: devices.map((fields) => device(fields)) }],
      ["snapshot_end", { snapshot_id: id, claims: [] }],
    );
  }
  snapshot("first", ...rows);
  return { store, notices, receive, snapshot };
}

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
  vi.useFakeTimers({ now: START });
  setServerTime(at(0));
});
afterEach(() => {
  vi.useRealTimers();
});

describe("which changes are told", () => {
  /** @type {[string, Partial<import("./rows").Device>, import("./rows").Device["status"] | null, string | null][]} */
  const table = [
    ["it came back", { status: "online" }, "offline", "connected"],
    ["it is new", { status: "online", status_since: at(0) }, null, "connected"],
    ["it was handed over, online for long", { status: "online", status_since: at(-3600) }, null, null],
    ["it was handed over, online since nobody knows", { status: "online", status_since: null }, null, null],
    ["it is new and waits to be accepted", { status: "online", trust: "pending" }, null, "pending"],
    ["it came back and still waits", { status: "online", trust: "pending" }, "offline", "connected"],
    ["a restarted server found it again", { status: "online" }, "unknown", null],
    ["it left", { status: "offline" }, "online", "disconnected"],
    [
      "a lost server's device did not come back",
      { status: "offline", status_cause: "server_lost" },
      "unknown",
      "disconnected",
    ],
    ["the server stopped", { status: "offline", status_cause: "server_shutdown" }, "online", null],
    ["it is listed for the first time, offline", { status: "offline" }, null, null],
    ["a restarted server waits for it", { status: "unknown" }, "online", null],
  ];
  it.each(table)("%s", (_, fields, from, kind) => {
    expect(kindOf({ device: device(fields), from }, START)).toBe(kind);
  });
});

describe("grouping", () => {
  it("makes one notice of twelve devices that go within two seconds", () => {
    const { list } = addTransitions([], many(5, "offline"), START);
    const grown = addTransitions(list, many(7, "offline", 6), START + GROUP_MS);
    expect(grown.list).toHaveLength(1);
    expect(grown.changed).toEqual(grown.list);
    expect(grown.list[0].key).toBe(list[0].key);
    expect(sentence(grown.list[0])).toBe("12 devices went offline");
    expect(names(grown.list[0])).toBe("web-1, web-2, web-3 and 9 more");
  });

  it("begins another notice after two seconds of quiet, newest first", () => {
    const { list } = addTransitions([], many(1, "offline"), START);
    const later = addTransitions(list, many(1, "offline", 2), START + GROUP_MS + 1);
    expect(later.list.map(sentence)).toEqual(["web-2 went offline", "web-1 went offline"]);
    expect(later.changed).toEqual([later.list[0]]);
    expect(later.list[1]).toBe(list[0]);
  });

  it("begins another notice after ten seconds without quiet", () => {
    /** @type {Notice[]} */
    let list = [];
    const every = GROUP_MS / 2;
    for (let after = 0; after <= GROUP_MAX_MS; after += every)
      list = addTransitions(list, many(1, "offline", after / every), START + after).list;
    expect(list.map(({ subjects }) => subjects.length)).toEqual([1, GROUP_MAX_MS / every]);
  });

  it("keeps kinds apart", () => {
    const { list } = addTransitions([], [...many(2, "offline"), ...many(3, "online", 10)], START);
    expect(list.map(sentence).sort()).toEqual(["2 devices went offline", "3 devices came online"]);
  });

  it("counts a device once, and says nothing new when nothing is told", () => {
    const { list } = addTransitions([], [...many(2, "offline"), ...many(2, "offline")], START);
    expect(sentence(list[0])).toBe("2 devices went offline");
    const silent = addTransitions(list, [transition({ status: "unknown" })], START);
    expect(silent).toEqual({ list, changed: [] });
    expect(silent.list).toBe(list);
  });

  it("keeps the newest two hundred", () => {
    /** @type {Notice[]} */
    let list = [];
    for (let turn = 0; turn < 250; turn += 1)
      list = addTransitions(list, many(1, "offline", turn), START + turn * 5000).list;
    expect(list).toHaveLength(200);
    expect(list[0].subjects[0].name).toBe("web-249");
  });

  it.each(seeds(50))("loses no device, repeats none and touches no earlier list, with seed %i", (seed) => {
    const random = chance(seed);
    /** @type {Notice[]} */
    let list = [];
    let nowMs = START;
    const told = new Set();
    for (let turn = 0; turn < 30; turn += 1) {
      nowMs += random.integer(3000);
      const transitions = Array.from({ length: random.integer(4) }, () => {
        const status = random.pick(/** @type {const} */ (["online", "offline"]));
        const id = random.integer(6);
        told.add(`${status} ${id}`);
        return transition({ id, device_name: `web-${id}`, status });
      });
      const before = structuredClone(list);
      const next = addTransitions(list, transitions, nowMs);
      expect(list).toEqual(before);
      list = next.list;
      for (const notice of next.changed) expect(list).toContain(notice);
    }
    for (const { subjects } of list) expect(new Set(subjects.map(({ id }) => id)).size).toBe(subjects.length);
    expect(new Set(list.map(({ key }) => key)).size).toBe(list.length);
    const said = new Set(
      list.flatMap(({ kind, subjects }) =>
        subjects.map(({ id }) => `${kind === "connected" ? "online" : "offline"} ${id}`),
      ),
    );
    expect(said).toEqual(told);
  });
});

describe("the sentences", () => {
  /** @param {Notice["kind"]} kind @param {string[]} details @returns {Notice} */
  const notice = (kind, ...details) => ({
    key: "k",
    kind,
    at: at(0),
    read: false,
    latestMs: START,
    subjects: details.map((detail, index) => ({ id: index, name: `web-${index + 1}`, detail })),
  });

  it("name one device and why it went", () => {
    expect(sentence(notice("connected", "registered"))).toBe("web-1 came online");
    expect(sentence(notice("pending", ""))).toBe("web-1 is waiting to be accepted");
    expect(sentence(notice("disconnected", ""))).toBe("web-1 went offline");
    expect(sentence(notice("disconnected", "no pong within the ping timeout"))).toBe(
      "web-1 went offline: no pong within the ping timeout",
    );
    expect(names(notice("connected", ""))).toBe("");
  });

  it("count several", () => {
    expect(sentence(notice("connected", "", ""))).toBe("2 devices came online");
    expect(sentence(notice("pending", "", ""))).toBe("2 devices are waiting to be accepted");
    expect(sentence(notice("disconnected", "", ""))).toBe("2 devices went offline");
    expect(names(notice("disconnected", "", ""))).toBe("web-1 and web-2");
  });
});

describe("the log of the specification", () => {
  it("says word for word, at debug level, what came, that the numbers changed, and what was shown", () => {
    const { receive } = page({ id: 1, rev: 1, status: "offline" });
    const debug = vi.mocked(console.debug).mockClear();
    receive(["device_status_changed", { ...golden("device_status_changed"), status: "online", cause: "registered" }]);
    expect(debug.mock.calls).toEqual([
      ["[INFO] Device status changed: DESKTOP-ABC123 → online"],
      ["[INFO] Dashboard stats updated"],
      ["[INFO] Notification: Agent Connected"],
    ]);
  });

  it("says the same of a device that goes", () => {
    const { receive } = page({ id: 1, rev: 1 });
    const debug = vi.mocked(console.debug).mockClear();
    receive(["device_status_changed", golden("device_status_changed")]);
    expect(debug.mock.calls.flat()).toEqual([
      "[INFO] Device status changed: DESKTOP-ABC123 → offline",
      "[INFO] Dashboard stats updated",
      "[INFO] Notification: Agent Disconnected",
    ]);
  });

  it("is silent about heartbeats and names", () => {
    const { receive } = page({ id: 1, rev: 1, last_seen: at(0) });
    const debug = vi.mocked(console.debug).mockClear();
    receive(
      ["devices_changed", { seen: [{ at: at(30), ids: [1] }] }],
      ["devices_changed", { devices: [device({ id: 1, rev: 2, device_name: "renamed" })] }],
    );
    expect(debug).not.toHaveBeenCalled();
  });
});

describe("the notices of a page", () => {
  it("are made by what a live connection reports", () => {
    const { notices, receive } = page({ id: 1, rev: 1 }, { id: 2, rev: 1 });
    const heard = vi.fn();
    const stop = notices.onChange(heard);
    receive(["device_status_changed", golden("device_status_changed")]);
    vi.advanceTimersByTime(1500);
    receive(["device_status_changed", { ...golden("device_status_changed"), id: 2 }]);
    expect(notices.get()).toHaveLength(1);
    expect(notices.get()[0]).toMatchObject({ at: at(0), read: false });
    expect(sentence(notices.get()[0])).toBe("2 devices went offline");
    expect(heard.mock.calls.map(([[{ key, subjects }]]) => [key, subjects.length])).toEqual([
      [notices.get()[0].key, 1],
      [notices.get()[0].key, 2],
    ]);
    stop();
    receive(["devices_changed", { devices: [device({ id: 3, rev: 1, device_name: "new" })] }]);
    expect(heard).toHaveBeenCalledTimes(2);
  });

  it("say nothing of a snapshot, of a reconnection, or of what changed while the link was lost", () => {
    const { store, notices, snapshot } = page({ id: 1, rev: 1 }, { id: 2, rev: 1 });
    store.dropConnection();
    snapshot("second", { id: 1, rev: 5, status: "offline" }, { id: 3, rev: 1 });
    expect(store.get().counts).toMatchObject({ online: 1, offline: 1 });
    expect(notices.get()).toEqual([]);
  });

  it("can be read and cleared, and are unread again when they grow", () => {
    const { notices, receive } = page({ id: 1, rev: 1 }, { id: 2, rev: 1 });
    receive(["device_status_changed", golden("device_status_changed")]);
    notices.markRead();
    const list = notices.get();
    expect(list.map(({ read }) => read)).toEqual([true]);
    notices.markRead();
    expect(notices.get()).toBe(list);
    receive(["device_status_changed", { ...golden("device_status_changed"), id: 2 }]);
    expect(notices.get().map(({ read }) => read)).toEqual([false]);
    notices.clear();
    expect(notices.get()).toEqual([]);
  });
});
