/** An answer to a claim: what is asked of the server, and what the list shows before any event arrives. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { device, golden } from "../../test-support";

/** @typedef {import("./claims").Claim} Claim */

const answers = vi.hoisted(() => {
  const fetch = vi.fn();
  vi.stubGlobal("fetch", fetch);
  return fetch;
});

const { store } = await import("../../live");
const { ANSWERS, KINDS, answerClaim, answersTo } = await import("./claims");

/** @type {Claim} */
const CLAIM = golden("claims_changed").claims[0];

/** @param {number} status @param {unknown} body */
const json = (status, body) => Response.json(body, { status });

/** @param {any[]} claims */
function know(...claims) {
  store.dispatch("claims_changed", { claims, more_claims: 7 });
  store.flush();
}

beforeEach(() => {
  vi.spyOn(console, "debug").mockImplementation(() => {});
});
afterEach(() => {
  answers.mockReset();
  store.reset();
});

describe("each answer", () => {
  it.each(
    /** @type {const} */ ([
      ["accept", "/api/v1/claims/1/accept", { merge_history: false }],
      ["merge", "/api/v1/claims/1/accept", { merge_history: true }],
      ["moved", "/api/v1/claims/1/moved", undefined],
      ["split", "/api/v1/claims/1/split", undefined],
      ["reject", "/api/v1/claims/1/reject", undefined],
    ]),
  )("%s is sent to %s", async (answer, path, body) => {
    answers.mockResolvedValue(json(200, { device: null }));
    await answerClaim(CLAIM, answer);
    /** @type {Request} */
    const request = answers.mock.calls[0][0];
    expect([request.method, new URL(request.url).pathname]).toEqual(["POST", path]);
    const sent = await request.text();
    expect(sent ? JSON.parse(sent) : undefined).toEqual(body);
  });

  it("takes the claim off the list and shows the device that came of it", async () => {
    know(CLAIM, { ...CLAIM, id: 2 });
    answers.mockResolvedValue(json(200, { device: device({ id: 12, rev: 1, device_name: "new" }) }));
    await answerClaim(CLAIM, "accept");
    store.flush();
    expect(store.get().claims.map(({ id }) => id)).toEqual([2]);
    expect(store.get().moreClaims).toBe(7);
    expect(store.get().devices.get(12)?.device_name).toBe("new");
  });

  it("leaves the claim where it is when the server refuses, and says why", async () => {
    know(CLAIM);
    answers.mockResolvedValue(
      json(409, { status: 409, code: "conflict", title: "Conflict", detail: "Somebody else answered." }),
    );
    await expect(answerClaim(CLAIM, "moved")).rejects.toMatchObject({ status: 409, detail: "Somebody else answered." });
    store.flush();
    expect(store.get().claims).toEqual([CLAIM]);
  });

  it("leaves the claim where it is when the server does not answer", async () => {
    know(CLAIM);
    answers.mockRejectedValue(new TypeError("fetch failed"));
    await expect(answerClaim(CLAIM, "moved")).rejects.toMatchObject({ code: "unreachable" });
    store.flush();
    expect(store.get().claims).toEqual([CLAIM]);
  });
});

describe("each kind of claim", () => {
  it.each(Object.entries(KINDS))("%s names the device and offers answers that are explained", (kind, of) => {
    const text = of.explain({ ...CLAIM, kind: /** @type {Claim["kind"]} */ (kind), device_name: "web-1" });
    expect(text).toContain("web-1");
    expect(of.answers.includes("reject")).toBe(kind === "reinstalled"); // the others are in quarantine until settled
    expect(of.answers.length).toBeGreaterThan(1);
    for (const answer of of.answers) expect(ANSWERS[answer].label && ANSWERS[answer].hint).toBeTruthy();
  });

  it("leaves a client without a key no way but out", () => {
    expect(answersTo({ ...CLAIM, kind: "reinstalled", keyed: true })).toEqual(["merge", "accept", "reject"]);
    expect(answersTo({ ...CLAIM, kind: "reinstalled", keyed: false })).toEqual(["reject"]);
  });

  it("is one that the wire knows, and none is missing", () => {
    expect(Object.keys(KINDS).sort()).toEqual(["cloned", "moved", "reinstalled"]);
  });
});
