/** A request that needs a proof waits for it and is sent again, once; without one its refusal stands. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { api, ask, onProofNeeded, onSignedOut } from "./api";

/** @type {{ method: string, path: string, body: string, key: string | null }[]} */
let sent;
/** @type {Response[]} */
let answers;

/** @param {number} status @param {unknown} [body] */
function answer(status, body = {}) {
  const response = new Response(status === 204 ? null : JSON.stringify(body), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
  return response;
}

const asked = () => answer(403, { code: "proof_required", detail: "A run on 30 devices needs your password again." });
const start = () =>
  ask(
    api.POST("/api/v1/runs", {
      params: { header: { "Idempotency-Key": "once" } },
      body: /** @type {any} */ ({ command: ["true"], targets: { selector: "*" } }),
    }),
  );

beforeEach(() => {
  sent = [];
  answers = [];
  vi.stubGlobal("fetch", async (/** @type {Request} */ request) => {
    const { pathname } = new URL(request.url);
    const key = request.headers.get("idempotency-key");
    sent.push({ method: request.method, path: pathname, body: await request.text(), key });
    const next = answers.shift() ?? answer(500);
    Object.defineProperty(next, "url", { value: request.url });
    return next;
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
  onSignedOut(() => {});
});

describe("a request that needs a proof", () => {
  it("is sent again as it was, once its user has proven it", async () => {
    answers = [asked(), answer(202, { id: "r1" })];
    const prove = vi.fn(async () => true);
    const forget = onProofNeeded(prove);
    expect(await start()).toEqual({ id: "r1" });
    expect(prove).toHaveBeenCalledOnce();
    expect(sent).toHaveLength(2);
    expect(sent[1]).toEqual(sent[0]);
    expect(sent[0]).toMatchObject({ method: "POST", path: "/api/v1/runs", key: "once" });
    expect(JSON.parse(sent[0]?.body ?? "")).toEqual({ command: ["true"], targets: { selector: "*" } });
    forget();
  });

  it("is refused if they do not, and is not asked for twice", async () => {
    answers = [asked()];
    const forget = onProofNeeded(async () => false);
    await expect(start()).rejects.toMatchObject({ status: 403, code: "proof_required" });
    expect(sent).toHaveLength(1);
    forget();
    answers = [asked()];
    await expect(start()).rejects.toMatchObject({ code: "proof_required" });
  });

  it("is no other refusal", async () => {
    const prove = vi.fn(async () => true);
    const forget = onProofNeeded(prove);
    answers = [answer(403, { code: "forbidden" }), answer(422, { code: "proof_required" })];
    await expect(start()).rejects.toMatchObject({ code: "forbidden" });
    await expect(start()).rejects.toMatchObject({ status: 422 });
    expect(prove).not.toHaveBeenCalled();
    forget();
  });
});

describe("a sign-in that is lost", () => {
  it("is told, but not by the steps of signing in", async () => {
    const lost = vi.fn();
    onSignedOut(lost);
    answers = [answer(401), answer(401, { code: "second_factor_required", challenge: "c" }), answer(401)];
    const login = { email: "ada@example.test", password: "a password" };
    await expect(ask(api.GET("/api/v1/auth/me"))).rejects.toMatchObject({ status: 401 });
    expect(lost).toHaveBeenCalledOnce();
    await expect(ask(api.POST("/api/v1/auth/login", { body: login }))).rejects.toMatchObject({ challenge: "c" });
    const second = api.POST("/api/v1/auth/login/second-factor", { body: { challenge: "c", code: "1" } });
    await expect(ask(second)).rejects.toMatchObject({ status: 401 });
    expect(lost).toHaveBeenCalledOnce();
  });
});
