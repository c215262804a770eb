/** What a user does to a device: shown at once, undone with the reason if refused, and right before its event arrives. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { device } from "../../test-support";

const fetch = vi.hoisted(() => {
  const stub = vi.fn();
  vi.stubGlobal("fetch", stub);
  return stub;
});

const { optimistic, store } = await import("../../live");
const { acceptDevice, changeTags, deleteDevice, giveTo, rejectDevice, rename } = await import("./actions");

/** @param {number} status @param {unknown} [body] */
const json = (status, body) => (status === 204 ? new Response(null, { status }) : Response.json(body, { status }));
const REFUSAL = { status: 403, code: "forbidden", title: "Forbidden", detail: "Only an administrator may do this." };

/** @param {Partial<import("../../live/rows").Device>} fields a device that the list already shows */
function known(fields) {
  const row = device({ id: 1, rev: 5, ...fields });
  store.dispatch("devices_changed", { devices: [row] });
  store.flush();
  return row;
}

/** @param {number} [call] */
const request = (call = 0) => /** @type {Request} */ (fetch.mock.calls[call][0]);

/** @param {number} [call] */
const asked = (call) => [request(call).method, new URL(request(call).url).pathname];

const shown = () => {
  store.flush();
  return store.get().devices.get(1);
};

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
});
afterEach(() => {
  fetch.mockReset();
  store.reset();
  optimistic.clear();
});

describe("a new name", () => {
  it("is shown before the answer, and is the server's after it", async () => {
    const row = known({ device_name: "old" });
    fetch.mockImplementation(async () => {
      expect(optimistic.get().get(1)).toEqual({ device_name: "new" });
      return json(200, { ...row, device_name: "new", rev: 6 });
    });
    await rename(row, "new");
    expect(asked()).toEqual(["PATCH", "/api/v1/devices/1"]);
    expect(await request().json()).toEqual({ device_name: "new" });
    expect(optimistic.get().size).toBe(0);
    expect(shown()).toMatchObject({ device_name: "new", rev: 6 });
  });

  it("is undone with the reason when it is refused", async () => {
    const row = known({ device_name: "old" });
    fetch.mockResolvedValue(json(403, REFUSAL));
    await expect(rename(row, "new")).rejects.toMatchObject({ detail: REFUSAL.detail });
    expect(optimistic.get().size).toBe(0);
    expect(shown()).toMatchObject({ device_name: "old", rev: 5 });
  });

  it("does not undo what the socket has said meanwhile", async () => {
    const row = known({ device_name: "old" });
    fetch.mockImplementation(async () => {
      store.dispatch("devices_changed", { devices: [{ ...row, device_name: "newest", rev: 7 }] });
      return json(200, { ...row, device_name: "new", rev: 6 });
    });
    await rename(row, "new");
    expect(shown()).toMatchObject({ device_name: "newest", rev: 7 });
  });
});

describe("tags", () => {
  /** @param {Record<string, string>} tags */
  const addRole = (tags) => ({ ...tags, role: "web" });

  it("are changed only on the row that was looked at", async () => {
    const row = known({ tags: { a: "1" } });
    fetch.mockResolvedValue(json(200, { ...row, tags: { a: "1", role: "web" }, rev: 6 }));
    await changeTags(row, addRole);
    expect(request().headers.get("if-match")).toBe('"5"');
    expect(await request().json()).toEqual({ tags: { a: "1", role: "web" } });
    expect(shown()?.tags).toEqual({ a: "1", role: "web" });
  });

  it("keep what somebody else added meanwhile", async () => {
    const row = known({ tags: { a: "1" } });
    const theirs = { ...row, tags: { a: "1", b: "2" }, rev: 6 };
    fetch
      .mockResolvedValueOnce(json(412, { status: 412, code: "precondition_failed", title: "Changed", detail: "" }))
      .mockResolvedValueOnce(json(200, theirs))
      .mockResolvedValueOnce(json(200, { ...theirs, tags: { a: "1", b: "2", role: "web" }, rev: 7 }));
    await changeTags(row, addRole);
    expect([asked(0)[0], asked(1)[0], asked(2)[0]]).toEqual(["PATCH", "GET", "PATCH"]);
    expect(request(2).headers.get("if-match")).toBe('"6"');
    expect(await request(2).json()).toEqual({ tags: { a: "1", b: "2", role: "web" } });
    expect(shown()).toMatchObject({ tags: { a: "1", b: "2", role: "web" }, rev: 7 });
  });

  it("are given up after three attempts", async () => {
    const row = known({});
    fetch.mockImplementation(async (/** @type {Request} */ { method }) =>
      method === "GET"
        ? json(200, { ...row, rev: 6 })
        : json(412, { status: 412, code: "precondition_failed", title: "Changed", detail: "" }),
    );
    await expect(changeTags(row, addRole)).rejects.toMatchObject({ status: 412 });
    expect(fetch.mock.calls.filter(([{ method }]) => method === "PATCH")).toHaveLength(3);
    expect(optimistic.get().size).toBe(0);
  });

  it("are not tried again after another failure", async () => {
    fetch.mockResolvedValue(json(403, REFUSAL));
    await expect(changeTags(known({}), addRole)).rejects.toMatchObject({ status: 403 });
    expect(fetch).toHaveBeenCalledOnce();
  });
});

it("gives a device to somebody", async () => {
  const row = known({ user_id: 1, owner: "admin@example.test" });
  fetch.mockResolvedValue(json(200, { ...row, user_id: 2, owner: "other@example.test", rev: 6 }));
  await giveTo(row, 2, "other@example.test");
  expect(await request().json()).toEqual({ user_id: 2 });
  expect(shown()?.owner).toBe("other@example.test");
});

it("accepts a device", async () => {
  const row = known({ trust: "pending" });
  fetch.mockResolvedValue(json(200, { ...row, trust: "trusted", rev: 6 }));
  await acceptDevice(row);
  expect(asked()).toEqual(["POST", "/api/v1/devices/1/accept"]);
  expect(shown()?.trust).toBe("trusted");
});

describe("a device that is deleted or rejected", () => {
  it.each(
    /** @type {const} */ ([
      ["deleted", deleteDevice, ["DELETE", "/api/v1/devices/1"]],
      ["rejected", rejectDevice, ["POST", "/api/v1/devices/1/reject"]],
    ]),
  )("is gone when it is %s, and a late event about it does not bring it back", async (_, remove, called) => {
    const row = known({});
    fetch.mockResolvedValue(json(204));
    await remove(row);
    expect(asked()).toEqual(called);
    expect(shown()).toBeUndefined();
    store.dispatch("devices_changed", { devices: [row] });
    expect(shown()).toBeUndefined();
  });

  it("stays when the server refuses", async () => {
    fetch.mockResolvedValue(json(403, REFUSAL));
    await expect(deleteDevice(known({}))).rejects.toMatchObject({ status: 403 });
    expect(shown()).toBeDefined();
  });
});
