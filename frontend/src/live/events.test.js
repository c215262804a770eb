/** Each event alone: what it does to the rows, what it never does, and that the wire's own examples are understood. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SOURCE, at, device, golden } from "../test-support";
import { EVENTS, UNWATCH_DEPLOYMENT, UNWATCH_RUN, WATCH, WATCH_DEPLOYMENT, WATCH_RUN, reduce } from "./events";
import { countAll, emptyState } from "./rows";

/** @typedef {import("./rows").LiveState} LiveState */

const EVENT_NAMES = golden("events");

/** @param {Partial<import("./rows").Device>[]} rows @returns {LiveState} as after a snapshot of these */
function loaded(...rows) {
  const devices = rows.map((fields) => device(fields));
  return reduce(emptyState(), [
    ["snapshot_begin", { snapshot_id: "first", total: rows.length, server_time: at(0) }],
    ["snapshot_devices", { snapshot_id: "first", devices }],
    ["snapshot_end", { snapshot_id: "first", claims: [] }],
  ]).state;
}

/** @param {Partial<import("./rows").StatusChange>} fields */
const change = (fields) => ({ ...golden("device_status_changed"), ...fields });

/** @param {LiveState} state @param {[string, any][]} events */
const after = (state, ...events) => reduce(state, events).state;

describe("the names", () => {
  it("are those of the wire, in both directions", () => {
    expect(Object.keys(EVENTS).sort()).toEqual(EVENT_NAMES.server_to_dashboard);
    const sent = [UNWATCH_DEPLOYMENT, UNWATCH_RUN, WATCH, WATCH_DEPLOYMENT, WATCH_RUN];
    expect(sent.sort()).toEqual(EVENT_NAMES.dashboard_to_server);
  });

  it("stand in no other file", () => {
    const names = Object.values(EVENT_NAMES).flat();
    const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter(
      (name) => /\.jsx?$/.test(name) && !/^test-|\.test\./.test(name) && name !== join("live", "events.js"),
    );
    expect(files.length).toBeGreaterThan(50);
    const found = files.flatMap((file) => {
      const text = readFileSync(join(SOURCE, file), "utf8");
      return names.filter((name) => new RegExp(`["'\`]${name}["'\`]`).test(text)).map((name) => `${file}: ${name}`);
    });
    expect(found).toEqual([]);
  });
});

describe("the wire's examples", () => {
  it("are one for each event", () => {
    for (const name of Object.keys(EVENTS)) expect(() => golden(name)).not.toThrow();
  });

  it("make a list when they come in their order", () => {
    const { state, transitions } = reduce(emptyState(), [
      ["snapshot_begin", golden("snapshot_begin")],
      ["snapshot_devices", golden("snapshot_devices")],
      ["snapshot_end", golden("snapshot_end")],
    ]);
    const sent = golden("snapshot_devices").devices;
    expect([...state.devices.values()]).toEqual(sent);
    expect(state.devices.size).toBe(golden("snapshot_begin").total);
    expect(state.claims).toEqual(golden("snapshot_end").claims);
    expect(state.moreClaims).toBe(3);
    expect(state.serverTime).toBe(golden("snapshot_begin").server_time);
    expect(state.counts).toEqual({ ...countAll([]), total: 2, online: 1, offline: 1, unverified: 1 });
    expect(transitions).toEqual([]);
  });

  it("say that a device went offline, why and since when", () => {
    const before = loaded(...golden("snapshot_devices").devices);
    const said = golden("device_status_changed");
    const { state, transitions } = reduce(before, [["device_status_changed", said]]);
    expect(state.devices.get(said.id)).toEqual({
      ...before.devices.get(said.id),
      status: "offline",
      status_cause: said.cause,
      status_detail: said.detail,
      status_since: said.since,
      last_seen: said.last_seen,
      rev: said.rev,
    });
    expect(transitions).toEqual([{ device: state.devices.get(said.id), from: "online" }]);
  });

  it("hold all that changed in one tick", () => {
    const state = after(loaded(...golden("snapshot_devices").devices, { id: 3, rev: 1 }), [
      "devices_changed",
      golden("devices_changed"),
    ]);
    const { devices, changes, seen } = golden("devices_changed");
    expect([...state.devices.keys()].sort()).toEqual([1, 2]);
    expect(state.devices.get(1)).toMatchObject({ status: changes[0].status, rev: changes[0].rev });
    expect(state.devices.get(2)).toEqual({ ...devices[0], last_seen: seen[0].at });
    expect(state.counts).toMatchObject({ total: 2, online: 0, offline: 2, quarantined: 1 });
  });

  it("replace the claims, and say why the session ends until the next one begins", () => {
    const state = after(
      loaded(),
      ["claims_changed", golden("claims_changed")],
      ["session_ended", golden("session_ended")],
    );
    expect(state.claims).toEqual(golden("claims_changed").claims);
    expect(state.moreClaims).toBe(2);
    expect(state.ended).toEqual(golden("session_ended"));
    expect(after(state, ["snapshot_begin", golden("snapshot_begin")]).ended).toBeNull();
  });
});

describe("an older row", () => {
  const before = loaded({ id: 1, rev: 5, device_name: "new" });

  it("is dropped, whichever way it comes", () => {
    const state = after(
      before,
      ["devices_changed", { devices: [device({ id: 1, rev: 4, device_name: "old" })] }],
      ["devices_changed", { changes: [change({ id: 1, rev: 4, device_name: "old", status: "offline" })] }],
      ["devices_changed", { removed: [{ id: 1, rev: 4 }] }],
    );
    expect(state.devices.get(1)).toBe(before.devices.get(1));
  });

  it("is dropped as a change when it is as old, but taken as a whole row, which may carry more", () => {
    const state = after(before, ["device_status_changed", change({ id: 1, rev: 5, status: "offline" })]);
    expect(state.devices.get(1)?.status).toBe("online");
    const richer = after(state, ["devices_changed", { devices: [device({ id: 1, rev: 5, tags: { role: "web" } })] }]);
    expect(richer.devices.get(1)?.tags).toEqual({ role: "web" });
  });

  it("does not bring back what was removed; a newer one does", () => {
    const gone = after(before, ["devices_changed", { removed: [{ id: 1, rev: 6 }] }]);
    expect(gone.devices.size).toBe(0);
    const still = after(gone, ["devices_changed", { devices: [device({ id: 1, rev: 6 })] }]);
    expect(still.devices.size).toBe(0);
    const back = after(still, ["devices_changed", { devices: [device({ id: 1, rev: 7 })] }]);
    expect(back.devices.get(1)?.rev).toBe(7);
    expect(back.tombstones.size).toBe(0);
  });

  it("never sets the time of the last heartbeat back", () => {
    const heard = after(loaded({ id: 1, rev: 1, last_seen: at(10) }), [
      "devices_changed",
      { seen: [{ at: at(60), ids: [1, 99] }] },
    ]);
    expect(heard.devices.get(1)).toMatchObject({ last_seen: at(60), rev: 1 });
    const later = after(
      heard,
      ["devices_changed", { seen: [{ at: at(30), ids: [1] }] }],
      ["devices_changed", { devices: [device({ id: 1, rev: 2, last_seen: at(20) })] }],
      ["devices_changed", { changes: [change({ id: 1, rev: 3, last_seen: null })] }],
    );
    expect(later.devices.get(1)).toMatchObject({ last_seen: at(60), rev: 3 });
    expect(later.devices.has(99)).toBe(false);
  });
});

describe("the counts", () => {
  it("are the same object until a number is another one", () => {
    const before = loaded({ id: 1, rev: 1, last_seen: at(0) });
    const heard = after(before, ["devices_changed", { seen: [{ at: at(30), ids: [1] }] }]);
    expect(heard.devices).not.toBe(before.devices);
    expect(heard.counts).toBe(before.counts);
    const offline = after(heard, ["device_status_changed", change({ id: 1, rev: 2 })]);
    expect(offline.counts).toMatchObject({ total: 1, online: 0, offline: 1 });
  });
});

describe("a snapshot", () => {
  it("takes no piece of another one, and ends only with its own end", () => {
    const state = after(
      loaded({ id: 1, rev: 1 }),
      ["snapshot_begin", { snapshot_id: "second", total: 1, server_time: at(9) }],
      ["snapshot_begin", { snapshot_id: "third", total: 1, server_time: at(9) }],
      ["snapshot_devices", { snapshot_id: "second", devices: [device({ id: 2 })] }],
      ["snapshot_devices", { snapshot_id: "third", devices: [device({ id: 3 })] }],
      ["snapshot_end", { snapshot_id: "second", claims: [] }],
    );
    expect([...state.devices.keys()]).toEqual([1]);
    const done = after(state, ["snapshot_end", { snapshot_id: "third", claims: [] }]);
    expect([...done.devices.keys()]).toEqual([3]);
    expect(done.snapshots).toBe(2);
  });

  it("is the truth also about what had been removed", () => {
    const state = after(
      loaded({ id: 1, rev: 5 }),
      [
        "devices_changed",
        {
          removed: [
            { id: 1, rev: 6 },
            { id: 2, rev: 6 },
          ],
        },
      ],
      ["snapshot_begin", { snapshot_id: "second", total: 1, server_time: at(9) }],
      ["snapshot_devices", { snapshot_id: "second", devices: [device({ id: 1, rev: 2 })] }],
      ["snapshot_end", { snapshot_id: "second", claims: [] }],
    );
    expect([...state.tombstones.keys()]).toEqual([2]);
    const renamed = after(state, ["devices_changed", { devices: [device({ id: 1, rev: 3, device_name: "new" })] }]);
    expect(renamed.devices.get(1)?.device_name).toBe("new");
  });
});

describe("what people are told", () => {
  it("is each change of status once, and nothing for other changes", () => {
    const { transitions } = reduce(loaded({ id: 1, rev: 1 }), [
      ["devices_changed", { devices: [device({ id: 1, rev: 2, device_name: "renamed" })] }],
      ["device_status_changed", change({ id: 1, rev: 3 })],
      ["device_status_changed", change({ id: 1, rev: 3 })],
      ["devices_changed", { devices: [device({ id: 2, rev: 1, status: "online" })] }],
    ]);
    expect(transitions.map(({ device: { id, status }, from }) => [id, from, status])).toEqual([
      [1, "online", "offline"],
      [2, null, "online"],
    ]);
  });

  it("is told once when it changes while a snapshot arrives, and not again at its end", () => {
    const row = { id: 1, rev: 1 };
    const { state, transitions } = reduce(loaded(row), [
      ["snapshot_begin", { snapshot_id: "second", total: 1, server_time: at(9) }],
      ["snapshot_devices", { snapshot_id: "second", devices: [device(row)] }],
      ["device_status_changed", change({ id: 1, rev: 2 })],
      ["snapshot_end", { snapshot_id: "second", claims: [] }],
    ]);
    expect(state.devices.get(1)?.status).toBe("offline");
    expect(transitions).toHaveLength(1);
  });

  it("is nothing of a row that changes before the first snapshot is whole: whether it came just now is not known", () => {
    const { state, transitions } = reduce(emptyState(), [
      ["snapshot_begin", { snapshot_id: "first", total: 1, server_time: at(0) }],
      ["devices_changed", { devices: [device({ id: 1, rev: 9, device_name: "renamed" })] }],
      ["snapshot_devices", { snapshot_id: "first", devices: [device({ id: 1, rev: 8 })] }],
      ["snapshot_end", { snapshot_id: "first", claims: [] }],
    ]);
    expect(state.devices.get(1)?.device_name).toBe("renamed");
    expect(transitions).toEqual([]);
  });
});

it("leaves the state before as it was, and understands only its own events", () => {
  const before = loaded({ id: 1, rev: 1 }, { id: 2, rev: 1 });
  const frozen = structuredClone(before);
  const same = reduce(before, [["something_else", { devices: [device({ id: 3 })] }]]).state;
  expect(same).toEqual(frozen);
  after(before, ["devices_changed", golden("devices_changed")], ["claims_changed", golden("claims_changed")]);
  expect(before).toEqual(frozen);
});
