/**
 * The snapshot rule as a property: a server that reads and sends at different moments, a connection that repeats and
 * breaks, a page that draws when it likes. Whenever all has arrived, the store holds exactly what a fresh snapshot would.
 */
import { describe, expect, it } from "vitest";
import { at, chance, device, seeds } from "../test-support";
import { countAll } from "./rows";
import { createStore } from "./store";

/** @typedef {import("./rows").Device} Device */
/** @typedef {{ id: string, claims: any[] | null, lastId: number, piece: Device[] | null }} Stream */

const PIECE = 3;

/**
 * The server of one user: rows, those who changed them, the publisher and the snapshots that are on their way.
 *
 * @param {import("../test-support").Chance} random
 */
function createServer(random) {
  /** @type {Map<number, Device>} */
  const rows = new Map();
  /** @type {Set<number>} devices that were given to somebody else */
  const hidden = new Set();
  /** @type {any[]} */
  let claims = [];
  let nextId = 1;
  let seconds = 0;
  const none = () => ({
    rows: new Set(/** @type {number[]} */ ([])),
    status: new Set(/** @type {number[]} */ ([])),
    seen: new Set(/** @type {number[]} */ ([])),
    removed: /** @type {{ id: number, rev: number }[]} */ ([]),
    claims: false,
  });
  let dirty = none();
  /** @type {((dirty: ReturnType<typeof none>) => void)[]} commits whose hint has not reached the publisher */
  const hints = [];
  /** @type {[string, any][] | null} what the publisher has read and not sent */
  let read = null;
  /** @type {Stream[]} */
  let streams = [];
  /** @type {[string, any][]} */
  let wire = [];

  const visible = () => [...rows.values()].filter(({ id }) => !hidden.has(id)).sort((a, b) => a.id - b.id);

  /** @param {Device} row @param {Partial<Device>} fields */
  function write(row, fields) {
    rows.set(row.id, { ...row, ...fields, rev: row.rev + 1 });
  }

  /** @type {Record<string, (row: Device) => void>} */
  const changes = {
    renamed(row) {
      write(row, { device_name: `name-${seconds}`, tags: { at: String(seconds) } });
      hints.push(({ rows }) => rows.add(row.id));
    },
    departed(row) {
      write(row, {
        status: "offline",
        status_cause: "ping_timeout",
        status_since: at(seconds),
        last_seen: at(seconds),
      });
      hints.push(({ status }) => status.add(row.id));
    },
    registered(row) {
      write(row, {
        status: "online",
        status_cause: "registered",
        status_since: at(seconds),
        agent_version: `${seconds}`,
      });
      hints.push(({ rows }) => rows.add(row.id));
      hints.push(({ status }) => status.add(row.id));
    },
    judged(row) {
      write(row, { trust: random.pick(["pending", "trusted", "quarantined"]) });
      hints.push(({ rows }) => rows.add(row.id));
    },
    heard(row) {
      rows.set(row.id, { ...row, last_seen: at(seconds) });
      hints.push(({ seen }) => seen.add(row.id));
    },
    removed(row) {
      rows.delete(row.id);
      hints.push(({ removed }) => removed.push({ id: row.id, rev: row.rev + 1 }));
    },
    handedOver(row) {
      if (hidden.delete(row.id)) hints.push(({ rows }) => rows.add(row.id));
      else {
        hidden.add(row.id);
        hints.push(({ removed }) => removed.push({ id: row.id, rev: row.rev }));
      }
      write(row, {});
    },
  };

  function create() {
    const row = device({ id: nextId++, rev: 1, device_name: `new-${seconds}`, last_seen: at(seconds) });
    rows.set(row.id, row);
    hints.push(({ rows }) => rows.add(row.id));
    hints.push(({ status }) => status.add(row.id));
  }

  function change() {
    seconds += 1;
    if (rows.size < 3 || random.happens(0.15)) return create();
    if (random.happens(0.1)) {
      claims = [...claims, seconds].slice(random.integer(3));
      hints.push((told) => (told.claims = true));
      return undefined;
    }
    return changes[random.pick(Object.keys(changes))](random.pick([...rows.values()]));
  }

  function publish() {
    if (read) {
      wire.push(...read);
      read = null;
      return;
    }
    const told = dirty;
    dirty = none();
    const mine = visible();
    const changed = {
      devices: mine.filter(({ id }) => told.rows.has(id)),
      changes: mine.filter(({ id }) => told.status.has(id)).map(statusChange),
      removed: told.removed,
      seen: mine.filter(({ id }) => told.seen.has(id)).map(({ id, last_seen }) => ({ at: last_seen, ids: [id] })),
    };
    read = [["devices_changed", changed]];
    if (told.claims) read.push(["claims_changed", { claims }]);
  }

  /** One step of a snapshot: a piece is read, or what was read is sent. */
  function stream() {
    const one = random.pick(streams);
    if (!one) return;
    if (one.claims) {
      wire.push(["snapshot_end", { snapshot_id: one.id, claims: one.claims }]);
      streams = streams.filter((other) => other !== one);
    } else if (one.piece) {
      wire.push(["snapshot_devices", { snapshot_id: one.id, devices: one.piece }]);
      one.lastId = one.piece.at(-1)?.id ?? one.lastId;
      one.piece = null;
    } else {
      const piece = visible().filter(({ id }) => id > one.lastId);
      if (piece.length) one.piece = piece.slice(0, PIECE);
      else one.claims = claims;
    }
  }

  return {
    change,
    hint: () => hints.shift()?.(dirty),
    publish,
    stream,
    /** @param {number} number */
    watch(number) {
      const id = `snapshot-${number}`;
      streams.push({ id, claims: null, lastId: 0, piece: null });
      wire.push(["snapshot_begin", { snapshot_id: id, total: visible().length, server_time: at(seconds) }]);
    },
    drop() {
      wire = [];
      streams = [];
    },
    take: () => wire.shift(),
    truth: () => ({ devices: new Map(visible().map((row) => [row.id, row])), claims }),
    idle: () =>
      read === null &&
      hints.length === 0 &&
      streams.length === 0 &&
      !Object.values(dirty).some((what) => what === true || sizeOf(what)),
  };
}

/** @param {any} what */
const sizeOf = (what) => what.size ?? what.length ?? 0;

/** @param {Device} row */
const statusChange = (row) => ({
  agent_id: row.agent_id,
  device_name: row.device_name,
  status: row.status,
  last_seen: row.last_seen,
  id: row.id,
  rev: row.rev,
  cause: row.status_cause,
  detail: row.status_detail,
  since: row.status_since,
});

/** A page whose every frame is checked: what changed is said, what was before is not touched, the counts agree. */
function createPage() {
  const store = createStore({ schedule: () => {} });
  let shown = new Map(store.get().devices);
  store.subscribe(({ state, touched }, before) => {
    expect(before.devices).toEqual(shown);
    expect(state.counts).toEqual(countAll(state.devices.values()));
    if (touched !== "all") {
      for (const id of new Set([...before.devices.keys(), ...state.devices.keys()])) {
        if (before.devices.get(id) !== state.devices.get(id)) expect(touched).toContain(id);
      }
    }
    shown = new Map(state.devices);
  });
  return store;
}

/** @param {number} seed */
function play(seed) {
  const random = chance(seed);
  const server = createServer(random);
  const store = createPage();
  let watches = 0;
  /** @type {[string, any][]} what this connection has already brought */
  let heard = [];

  function deliver() {
    const event = server.take();
    if (!event) return false;
    store.dispatch(...event);
    if (event[0] === "devices_changed") heard.push(event);
    if (heard.length && random.happens(0.2)) store.dispatch(...random.pick(heard));
    return true;
  }

  function reconnect() {
    server.drop();
    store.dropConnection();
    heard = [];
    server.watch(watches++);
  }

  /** @type {[number, () => void][]} how often each thing happens, and what it is */
  const steps = [
    [8, server.change],
    [8, server.hint],
    [6, server.publish],
    [8, server.stream],
    [10, deliver],
    [3, store.flush],
    [0.8, reconnect],
    [0.3, () => server.watch(watches++)],
  ];
  const total = steps.reduce((sum, [weight]) => sum + weight, 0);

  function step() {
    let left = random.random() * total;
    for (const [weight, run] of steps) if ((left -= weight) < 0) return run();
  }

  for (let count = 0; count < 10; count += 1) server.change();
  reconnect();
  for (let phase = 0; phase < 4; phase += 1) {
    for (let count = 0; count < 80; count += 1) step();
    while (!server.idle()) random.pick([server.hint, server.publish, server.stream, deliver])();
    while (deliver());
    store.flush();
    const { devices, claims, staging } = store.get();
    expect({ devices, claims, staging }).toEqual({ ...server.truth(), staging: null });
  }
  return watches;
}

describe("snapshot + events = fresh snapshot", () => {
  it.each(seeds(300))("with seed %i", (seed) => {
    play(seed);
  });

  it("was tried with snapshots that overlap and connections that break", () => {
    const watches = seeds(50).map(play);
    expect(Math.max(...watches)).toBeGreaterThan(4);
    expect(watches.filter((count) => count > 1).length).toBeGreaterThan(25);
  });
});

describe("whole rows and removals, in any order and more than once", () => {
  it.each(seeds(100))("end as the greatest rev of each device says, with seed %i", (seed) => {
    const random = chance(seed);
    /** @type {any[]} */
    const messages = [];
    const truth = new Map();
    for (let id = 1; id <= 5; id += 1) {
      const last = 1 + random.integer(6);
      for (let rev = 1; rev <= last; rev += 1) {
        const row = device({
          id,
          rev,
          device_name: `name-${rev}`,
          status: random.pick(["online", "offline", "unknown"]),
        });
        const removed = rev > 1 && random.happens(0.3);
        messages.push(removed ? { removed: [{ id, rev }] } : { devices: [row] });
        if (removed) truth.delete(id);
        else truth.set(id, row);
      }
    }
    const store = createPage();
    const repeats = messages.filter(() => random.happens(0.5));
    for (const message of random.shuffled([...messages, ...repeats])) {
      store.dispatch("devices_changed", message);
      if (random.happens(0.3)) store.flush();
    }
    store.flush();
    expect(store.get().devices).toEqual(truth);
  });
});

describe("a list that is replaced", () => {
  /** @param {import("./store").Store} store @param {string} id @param {Device[]} devices */
  function snapshot(store, id, ...devices) {
    store.dispatch("snapshot_begin", { snapshot_id: id, total: devices.length, server_time: at(0) });
    store.dispatch("snapshot_devices", { snapshot_id: id, devices });
    store.dispatch("snapshot_end", { snapshot_id: id, claims: [] });
    store.flush();
  }

  it("keeps the rows that did not change as the objects they were, so that nothing is drawn anew", () => {
    const store = createPage();
    snapshot(store, "first", device({ id: 1, rev: 1, tags: { role: "web" } }), device({ id: 2, rev: 1 }));
    const before = store.get();
    snapshot(store, "second", device({ id: 1, rev: 1, tags: { role: "web" } }), device({ id: 2, rev: 2 }));
    expect(store.get().devices.get(1)).toBe(before.devices.get(1));
    expect(store.get().devices.get(2)).not.toBe(before.devices.get(2));
    expect(store.get().counts).toBe(before.counts);
  });

  it("takes all of a row whose last change brought only its status before the link was lost", () => {
    const store = createPage();
    snapshot(store, "first", device({ id: 1, rev: 1, tags: {} }));
    const tagged = device({ id: 1, rev: 3, tags: { role: "web" }, facts: { os: "Debian" } });
    store.dispatch("devices_changed", { changes: [statusChange(tagged)] });
    store.dropConnection();
    snapshot(store, "second", tagged);
    expect(store.get().devices.get(1)).toEqual(tagged);
  });

  it("drops devices that went while nobody watched, and shows the old ones until then", () => {
    const store = createPage();
    snapshot(store, "first", device({ id: 1 }), device({ id: 2 }));
    store.dropConnection();
    store.dispatch("snapshot_begin", { snapshot_id: "second", total: 1, server_time: at(9) });
    store.dispatch("snapshot_devices", { snapshot_id: "second", devices: [device({ id: 2 })] });
    store.flush();
    expect([...store.get().devices.keys()]).toEqual([1, 2]);
    store.dispatch("snapshot_end", { snapshot_id: "second", claims: [] });
    store.flush();
    expect([...store.get().devices.keys()]).toEqual([2]);
    expect(store.get().counts.total).toBe(1);
  });
});
