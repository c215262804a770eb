/** The rows of a view while they change: none is missing or too many, none jumps, and a new sort is as if made anew. */
import { describe, expect, it, vi } from "vitest";
import { createStore } from "../../live/store";
import { at, chance, device, deviceMap, golden, seeds } from "../../test-support";
import { COLUMN_IDS } from "./columns";
import { build, createOrder, update } from "./order";
import { matcher, viewFrom } from "./view";

/** @typedef {import("../../live/rows").Device} Device */

/** @param {string} column @param {boolean} [descending] */
const sortedBy = (column, descending = false) => ({ ...viewFrom({}), sort: { column, descending } });

/** @param {Map<number, Device>} devices @param {import("./view").View} view */
const namesOf = (devices, view) => build(devices, view).ids.map((id) => devices.get(id)?.device_name);

describe("a sort", () => {
  it("of names is natural, both ways", () => {
    const devices = deviceMap(
      { id: 1, device_name: "web-10" },
      { id: 2, device_name: "Web-9" },
      { id: 3, device_name: "db" },
    );
    expect(namesOf(devices, sortedBy("name"))).toEqual(["db", "Web-9", "web-10"]);
    expect(namesOf(devices, sortedBy("name", true))).toEqual(["web-10", "Web-9", "db"]);
  });

  it("of status puts first what needs an answer, then what is away", () => {
    const devices = deviceMap(
      { id: 1, device_name: "online", status: "online" },
      { id: 2, device_name: "offline", status: "offline" },
      { id: 3, device_name: "unknown", status: "unknown" },
      { id: 4, device_name: "pending", status: "online", trust: "pending" },
      { id: 5, device_name: "quarantined", status: "online", trust: "quarantined" },
      { id: 6, device_name: "offline, unverified", status: "offline", trust: "unverified" },
    );
    expect(namesOf(devices, sortedBy("status"))).toEqual([
      "quarantined",
      "pending",
      "offline",
      "offline, unverified",
      "unknown",
      "online",
    ]);
  });

  it("of owners puts those without one last", () => {
    const devices = deviceMap(
      { id: 1, device_name: "none", owner: null },
      { id: 2, device_name: "z", owner: "z@example.test" },
    );
    expect(namesOf(devices, sortedBy("owner"))).toEqual(["z", "none"]);
  });

  it("decides between equals by name", () => {
    const devices = deviceMap({ id: 1, device_name: "b" }, { id: 2, device_name: "a" }, { id: 3, device_name: "c" });
    expect(namesOf(devices, sortedBy("platform"))).toEqual(["a", "b", "c"]);
  });

  it.each(COLUMN_IDS)("by %s takes devices with nothing in it", (column) => {
    const bare = { agent_version: "", last_seen: null, owner: null, status_since: null, tags: {} };
    expect(build(deviceMap({ id: 1, ...bare }, { id: 2 }), sortedBy(column)).ids).toHaveLength(2);
  });
});

describe("a row that changes", () => {
  const before = deviceMap({ id: 1, device_name: "a" }, { id: 2, device_name: "b" }, { id: 3, device_name: "c" });
  const view = sortedBy("name");
  const order = build(before, view);

  /** @param {Partial<Device> & { id: number }} fields */
  const changed = ({ id, ...fields }) => new Map(before).set(id, device({ ...before.get(id), ...fields, id, rev: 9 }));

  it("stays where it is and is marked, until the next sort", () => {
    const devices = changed({ id: 1, device_name: "z" });
    const next = update(order, devices, [1], view, before);
    expect(next.ids).toEqual([1, 2, 3]);
    expect([...next.moved]).toEqual([1]);
    expect(build(devices, view)).toMatchObject({ ids: [2, 3, 1], moved: new Set() });
  });

  it("is not marked any more when it is back where it was", () => {
    const away = update(order, changed({ id: 1, device_name: "z" }), [1], view, before);
    expect(update(away, before, [1], view, before).moved.size).toBe(0);
  });

  it("changes nothing about the order when its key is the same", () => {
    expect(update(order, changed({ id: 1, status: "offline" }), [1], view, before)).toBe(order);
  });

  it("is not marked by a heartbeat, though the list is sorted by it", () => {
    const bySeen = sortedBy("seen");
    const placed = build(before, bySeen);
    const heard = new Map(before).set(2, device({ ...before.get(2), last_seen: at(99) }));
    expect(update(placed, heard, [2], bySeen, before)).toBe(placed);
  });

  it("leaves when it no longer matches, and comes in at its place when it does again", () => {
    const online = { ...view, status: ["online"] };
    const offline = changed({ id: 2, status: "offline" });
    const without = update(build(before, online), offline, [2], online, before);
    expect(without.ids).toEqual([1, 3]);
    expect(update(without, before, [2], online, offline).ids).toEqual([1, 2, 3]);
  });
});

describe("any changes", () => {
  it.each(seeds(150))("leave the order as its invariants say, with seed %i", (seed) => {
    const random = chance(seed);
    const view = {
      ...sortedBy(random.pick(["name", "status", "seen", "platform"]), random.happens(0.5)),
      status: random.happens(0.5) ? ["online"] : [],
      q: random.happens(0.3) ? "1" : "",
    };
    /** @param {number} id */
    const someRow = (id) =>
      device({
        id,
        rev: random.integer(1e9),
        device_name: `web-${random.integer(30)}`,
        platform: random.pick(["a", "b"]),
        status: random.pick(["online", "offline"]),
        last_seen: at(random.integer(100)),
        agent_id: "",
        machine_id: "",
        hostname: "",
        ip_address: "",
        source_ip: "",
        agent_version: "",
      });
    let devices = new Map(Array.from({ length: 20 }, (_, id) => [id, someRow(id)]));
    let order = build(devices, view);
    const matches = matcher(view);
    for (let turn = 0; turn < 15; turn += 1) {
      const before = devices;
      const touched = new Set(Array.from({ length: random.integer(8) }, () => random.integer(26)));
      devices = new Map(devices);
      for (const id of touched) {
        if (random.happens(0.2)) devices.delete(id);
        else devices.set(id, someRow(id));
      }
      const last = order;
      order = update(order, devices, touched, view, before);

      const fresh = build(devices, view);
      expect([...order.ids].sort((a, b) => a - b)).toEqual([...fresh.ids].sort((a, b) => a - b));
      expect(order.ids.every((id) => matches(/** @type {Device} */ (devices.get(id))))).toBe(true);
      const sign = view.sort.descending ? -1 : 1;
      const keys = order.ids.map((id) => order.placed.get(id) ?? "");
      expect([...keys].sort((a, b) => (a < b ? -sign : a > b ? sign : 0))).toEqual(keys);
      expect(order.placed.size).toBe(order.ids.length);
      const stayed = last.ids.filter((id) => order.placed.get(id) === last.placed.get(id));
      expect(order.ids.filter((id) => stayed.includes(id))).toEqual(stayed);
      expect([...order.moved].sort()).toEqual(
        order.ids.filter((id) => order.placed.get(id) !== fresh.placed.get(id)).sort(),
      );
      if (random.happens(0.2)) order = fresh;
    }
  });
});

describe("the order of a live list", () => {
  function live() {
    const store = createStore({ schedule: () => {} });
    store.dispatch("snapshot_begin", golden("snapshot_begin"));
    store.dispatch("snapshot_devices", golden("snapshot_devices"));
    store.dispatch("snapshot_end", golden("snapshot_end"));
    store.flush();
    const order = createOrder(store, { ...sortedBy("name"), status: ["online"] });
    return { store, order };
  }

  it("follows the store and tells of each other order once", () => {
    const { store, order } = live();
    const heard = vi.fn();
    const stop = order.subscribe(heard);
    expect(order.get().ids).toEqual([1]);
    store.dispatch("device_status_changed", golden("device_status_changed"));
    store.flush();
    expect(order.get().ids).toEqual([]);
    store.dispatch("devices_changed", { devices: [device({ id: 2, rev: 9, status: "online" })] });
    store.flush();
    expect(order.get().ids).toEqual([2]);
    expect(heard).toHaveBeenCalledTimes(2);
    store.dispatch("devices_changed", { seen: [{ at: at(9e6), ids: [2] }] });
    store.flush();
    expect(heard).toHaveBeenCalledTimes(2);
    stop();
    store.dispatch("devices_changed", { removed: [{ id: 2, rev: 10 }] });
    store.flush();
    expect(order.get().ids).toEqual([2]);
  });

  it("catches up with what changed while nobody watched", () => {
    const { store, order } = live();
    store.dispatch("device_status_changed", golden("device_status_changed"));
    store.flush();
    order.subscribe(() => {});
    expect(order.get().ids).toEqual([]);
  });

  it("is sorted anew on request", () => {
    const { store, order } = live();
    order.subscribe(() => {});
    store.dispatch("devices_changed", { devices: [device({ id: 3, rev: 1, device_name: "a" })] });
    store.dispatch("devices_changed", { devices: [device({ id: 3, rev: 2, device_name: "z" })] });
    store.flush();
    store.dispatch("devices_changed", { devices: [device({ id: 3, rev: 3, device_name: "a" })] });
    store.flush();
    expect(order.get()).toMatchObject({ ids: [1, 3], moved: new Set([3]) });
    order.resort();
    expect(order.get()).toMatchObject({ ids: [3, 1], moved: new Set() });
  });
});
