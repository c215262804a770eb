/** The link with a socket whose other end is the test: when it is live, lost, tried again, and what it says meanwhile. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { at, device, golden } from "../test-support";
import { EVENTS, UNWATCH_DEPLOYMENT, UNWATCH_RUN, WATCH, WATCH_DEPLOYMENT, WATCH_RUN } from "./events";
import { createLink } from "./link";
import { createStore } from "./store";

const START = Date.parse(at(0));

/** The part of a Socket.IO client's socket that the link uses. */
function createSocket() {
  /** @type {Map<string, (payload?: any) => void>} */
  let listeners = new Map();
  return {
    connected: false,
    connect: vi.fn(),
    disconnect: vi.fn(),
    emit: vi.fn(),
    /** @param {string} name @param {(payload?: any) => void} listener */
    on: (name, listener) => void listeners.set(name, listener),
    off: () => void (listeners = new Map()),
    names: () => [...listeners.keys()],
    /** @param {string} name @param {any} [payload] */
    says: (name, payload) => listeners.get(name)?.(payload),
    /** @param {string} message */
    refuses: (message) => listeners.get("connect_error")?.(new Error(message)),
  };
}

function page() {
  const socket = createSocket();
  const store = createStore({ schedule: (run) => void setTimeout(run, 16) });
  const onSignedOut = vi.fn();
  const open = vi.fn(() => /** @type {any} */ (socket));
  const link = createLink({ store, onSignedOut, open, random: () => 0.999999 });
  /** @type {string[]} */
  const states = [];
  link.subscribe(() => states.push(link.get().state));

  function snapshot(id = "one") {
    socket.says("snapshot_begin", { snapshot_id: id, total: 1, server_time: at(0) });
    socket.says("snapshot_devices", { snapshot_id: id, devices: [device({ id: 1 })] });
    socket.says("snapshot_end", { snapshot_id: id, claims: [] });
    vi.advanceTimersByTime(16);
  }
  function goLive() {
    link.start();
    socket.says("connect");
    snapshot();
  }
  return { socket, store, link, open, onSignedOut, states, snapshot, goLive };
}

/** @param {boolean} hidden */
function setHidden(hidden) {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(() => {
  vi.useRealTimers();
  Reflect.deleteProperty(document, "hidden");
});

describe("a sign-in", () => {
  it("dials, asks for a snapshot, and is live when that is whole", () => {
    const { socket, link, store, states, snapshot } = page();
    link.start();
    expect(socket.connect).toHaveBeenCalledOnce();
    socket.says("connect");
    expect(socket.emit.mock.calls).toEqual([[WATCH, {}]]);
    snapshot();
    expect(states).toEqual(["connecting", "syncing", "live"]);
    expect(link.get()).toEqual({ state: "live", attempt: 0, retryAt: null, staleSince: null, reason: "" });
    expect(store.get().devices.size).toBe(1);
    vi.advanceTimersByTime(120_000);
    expect(link.get().state).toBe("live");
  });

  it("listens to every event of the table, and to nothing else but the connection", () => {
    const { socket, link } = page();
    link.start();
    expect(socket.names().sort()).toEqual([...Object.keys(EVENTS), "connect", "connect_error", "disconnect"].sort());
  });

  it("opens one socket, however often it is started", () => {
    const { link, open } = page();
    link.start();
    link.start();
    expect(open).toHaveBeenCalledOnce();
  });
});

describe("a link that is lost", () => {
  it("says since when what is shown may be wrong, and when it tries again", () => {
    const { socket, link, goLive } = page();
    goLive();
    vi.advanceTimersByTime(5000);
    const lostAt = Date.now();
    socket.says("disconnect", "transport close");
    expect(link.get()).toMatchObject({ state: "lost", attempt: 1, retryAt: lostAt + 1000, staleSince: lostAt });
    expect(link.get().reason).not.toBe("");
    vi.advanceTimersByTime(999);
    expect(socket.connect).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1);
    expect(socket.connect).toHaveBeenCalledTimes(2);
    expect(link.get()).toMatchObject({ state: "connecting", retryAt: null, staleSince: lostAt });
  });

  it("waits longer after each failure, keeps its age, and starts over when it is live again", () => {
    const { socket, link, goLive, snapshot } = page();
    goLive();
    const lostAt = Date.now();
    socket.says("disconnect", "transport close");
    const delays = [];
    for (let failure = 0; failure < 6; failure += 1) {
      const { retryAt } = link.get();
      delays.push(Number(retryAt) - Date.now());
      vi.advanceTimersByTime(delays[failure]);
      socket.refuses("xhr poll error");
    }
    expect(delays).toEqual([1000, 2000, 4000, 8000, 15000, 15000]);
    expect(link.get()).toMatchObject({ state: "lost", attempt: 7, staleSince: lostAt });
    link.retry();
    socket.says("connect");
    expect(link.get()).toMatchObject({ state: "syncing", staleSince: lostAt });
    snapshot("two");
    expect(link.get()).toMatchObject({ state: "live", attempt: 0, staleSince: null, reason: "" });
    socket.says("disconnect", "transport close");
    expect(Number(link.get().retryAt) - Date.now()).toBe(1000);
  });

  it("is not stale when nothing was ever shown", () => {
    const { socket, link } = page();
    link.start();
    socket.refuses("xhr poll error");
    expect(link.get()).toMatchObject({
      state: "lost",
      attempt: 1,
      staleSince: null,
      reason: "The server cannot be reached.",
    });
  });

  it("says what the server said when it closed, and waits as long as that asked for", () => {
    const { socket, link, goLive } = page();
    goLive();
    const said = golden("session_ended");
    socket.says("session_ended", said);
    socket.says("disconnect", "io server disconnect");
    expect(link.get()).toMatchObject({ state: "lost", reason: said.message });
    expect(Number(link.get().retryAt) - Date.now()).toBe(said.retry_after_s * 1000);
  });

  it("says of the next failure what that was", () => {
    const { socket, link, goLive } = page();
    goLive();
    socket.says("session_ended", golden("session_ended"));
    socket.says("disconnect", "io server disconnect");
    link.retry();
    socket.refuses("xhr poll error");
    expect(link.get().reason).toBe("The server cannot be reached.");
    expect(Number(link.get().retryAt) - Date.now()).toBe(2000);
  });

  it("applies what arrived before it closed, and drops half a snapshot", () => {
    const { socket, store, goLive } = page();
    goLive();
    socket.says("device_status_changed", golden("device_status_changed"));
    socket.says("snapshot_begin", { snapshot_id: "two", total: 1, server_time: at(9) });
    socket.says("disconnect", "transport close");
    expect(store.get().devices.get(1)?.status).toBe("offline");
    expect(store.get().staging).toBeNull();
  });

  it("is one in which the list never came, too", () => {
    const { socket, link } = page();
    link.start();
    socket.says("connect");
    vi.advanceTimersByTime(30_000);
    expect(link.get()).toMatchObject({ state: "lost", reason: "The list of devices did not arrive in time." });
    expect(socket.disconnect).toHaveBeenCalledOnce();
    socket.says("disconnect", "io client disconnect");
    expect(link.get().attempt).toBe(1);
  });

  it("names a refused address", () => {
    const { socket, link } = page();
    link.start();
    socket.refuses("forbidden_origin");
    expect(link.get().reason).toContain("does not accept this address");
  });
});

describe("an attempt before its time", () => {
  it.each([
    ["the button", (/** @type {ReturnType<typeof page>} */ { link }) => link.retry()],
    ["the network that is back", () => window.dispatchEvent(new Event("online"))],
    ["the page that is looked at again", () => setHidden(false)],
  ])("is made by %s, and only then", (_, act) => {
    const at = page();
    at.goLive();
    act(at);
    expect(at.link.get().state).toBe("live");
    at.socket.says("disconnect", "transport close");
    act(at);
    expect(at.link.get().state).toBe("connecting");
    expect(at.socket.connect).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(20_000);
    expect(at.socket.connect).toHaveBeenCalledTimes(2);
    at.link.stop();
  });

  it("is not made by a page that is hidden", () => {
    const { socket, link, goLive } = page();
    goLive();
    socket.says("disconnect", "transport close");
    setHidden(true);
    expect(link.get().state).toBe("lost");
    link.stop();
  });
});

describe("a session that has ended", () => {
  it("is told, and not dialled again: over the socket", () => {
    const { socket, onSignedOut, goLive } = page();
    goLive();
    socket.says("session_ended", { ...golden("session_ended"), code: "signed_out", retryable: false });
    socket.says("disconnect", "io server disconnect");
    expect(onSignedOut).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(60_000);
    expect(socket.connect).toHaveBeenCalledOnce();
  });

  it("is told, and not dialled again: at the door", () => {
    const { socket, link, onSignedOut } = page();
    link.start();
    socket.refuses("unauthenticated");
    expect(onSignedOut).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(60_000);
    expect(socket.connect).toHaveBeenCalledOnce();
  });
});

describe("a link that is stopped", () => {
  it.each(["connecting", "syncing", "live", "lost"])(
    "when it is %s: closes, hears nothing more and never returns",
    (when) => {
      const { socket, link, snapshot } = page();
      link.start();
      if (when !== "connecting") socket.says("connect");
      if (when === "live" || when === "lost") snapshot();
      if (when === "lost") socket.says("disconnect", "transport close");
      expect(link.get().state).toBe(when);
      link.stop();
      expect(link.get()).toEqual({ state: "idle", attempt: 0, retryAt: null, staleSince: null, reason: "" });
      expect(socket.disconnect).toHaveBeenCalled();
      expect(socket.names()).toEqual([]);
      window.dispatchEvent(new Event("online"));
      vi.advanceTimersByTime(120_000);
      expect(link.get().state).toBe("idle");
      expect(socket.connect).toHaveBeenCalledOnce();
    },
  );
});

describe("what is watched", () => {
  it.each([
    {
      kind: /** @type {const} */ ("watchRun"),
      names: [WATCH_RUN, UNWATCH_RUN],
      asked: { run_id: "id-1" },
      event: "tasks_changed",
      kept: /** @type {const} */ ("tasks"),
    },
    {
      kind: /** @type {const} */ ("watchDeployment"),
      names: [WATCH_DEPLOYMENT, UNWATCH_DEPLOYMENT],
      asked: { deployment_id: "id-1" },
      event: "deployment_targets_changed",
      kept: /** @type {const} */ ("targets"),
    },
  ])("by $kind is asked for over each connection again, until nobody looks", ({ kind, names, asked, event, kept }) => {
    const { socket, link, goLive, store } = page();
    const [watch, unwatch] = names;
    goLive();
    socket.connected = true;
    const begun = vi.fn();
    const stop = link[kind]("id-1", begun);
    expect(socket.emit.mock.calls.at(-1)?.slice(0, 2)).toEqual([watch, asked]);
    expect(begun).not.toHaveBeenCalled();
    socket.emit.mock.calls.at(-1)?.[2]({ ok: true, data: null });
    expect(begun).toHaveBeenCalledTimes(1);

    socket.connected = false;
    socket.says("disconnect", "transport close");
    vi.advanceTimersByTime(1000);
    socket.connected = true;
    socket.says("connect");
    expect(socket.emit.mock.calls.slice(-2).map(([name]) => name)).toEqual([WATCH, watch]);
    socket.emit.mock.calls.at(-1)?.[2]({ ok: true, data: null });
    expect(begun).toHaveBeenCalledTimes(2);

    socket.says(event, { ...golden(event), ...asked });
    vi.advanceTimersByTime(16);
    expect(store.get()[kept].size).toBe(1);
    stop();
    expect(socket.emit.mock.calls.at(-1)).toEqual([unwatch, asked]);
    expect(store.get()[kept].size).toBe(0);
  });

  it("is asked for once, however many look, and given up with the last of them", () => {
    const { socket, link, goLive } = page();
    goLive();
    socket.connected = true;
    const stops = [link.watchRun("run-1", vi.fn()), link.watchRun("run-1", vi.fn())];
    expect(socket.emit.mock.calls.filter(([name]) => name === WATCH_RUN)).toHaveLength(1);
    stops[0]();
    expect(socket.emit.mock.calls.filter(([name]) => name === UNWATCH_RUN)).toHaveLength(0);
    stops[1]();
    expect(socket.emit.mock.calls.filter(([name]) => name === UNWATCH_RUN)).toHaveLength(1);
  });

  it("waits for the connection where there is none yet", () => {
    const { socket, link } = page();
    link.watchRun("run-1", vi.fn());
    link.start();
    expect(socket.emit).not.toHaveBeenCalled();
    socket.says("connect");
    expect(socket.emit.mock.calls.map(([name]) => name)).toEqual([WATCH, WATCH_RUN]);
  });
});
