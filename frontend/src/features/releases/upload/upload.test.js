/** An upload against a server that fails as servers do: what arrives is the file, once, whatever happened between. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Problem, unreachable } from "../../../lib/problem";
import { chance, seeds } from "../../../test-support";
import { createUpload } from "./upload";

/** @param {number} status */
const refusal = (status) => new Problem({ status, code: "x", title: "No", detail: "No." });

/** @param {Blob} blob */
const bytesOf = async (blob) => Buffer.from(await blob.arrayBuffer());

/** A server in memory; `trouble` is asked before each request and may throw. @param {(what: string) => void} trouble */
function serverOf(trouble = () => {}) {
  let kept = Buffer.alloc(0);
  let size = -1;
  const state = { begun: 0, pieces: 0, dropped: 0, lost: false };
  const session = () => ({
    id: `u${state.begun}`,
    offset: kept.length,
    complete: kept.length === size,
    pieceMost: 1 << 20,
  });
  return {
    state,
    kept: () => kept,
    forget() {
      kept = Buffer.alloc(0);
      state.lost = true;
    },
    /** @type {import("./upload").Transport} */
    transport: {
      async begin(file, signal) {
        signal.throwIfAborted();
        trouble("begin");
        size = file.size;
        state.begun += 1;
        state.lost = false;
        return session();
      },
      async look() {
        trouble("look");
        if (state.lost) throw refusal(404);
        return session();
      },
      async send(id, offset, piece, signal) {
        trouble("send");
        if (state.lost) throw refusal(404);
        if (offset !== kept.length) throw refusal(409);
        kept = Buffer.concat([kept, await bytesOf(piece)]);
        state.pieces += 1;
        signal.throwIfAborted();
        trouble("answer");
        return session();
      },
      async drop() {
        state.dropped += 1;
      },
    },
  };
}

/** @type {typeof import("./hashFile").hashFile} */
const hash = async (file, onProgress, signal) => {
  signal.throwIfAborted();
  onProgress(file.size);
  return createHash("sha256")
    .update(await bytesOf(file))
    .digest("hex");
};

/** @param {number} size @param {number} [seed] */
const fileOf = (size, seed = 1) =>
  new File([new Uint8Array(size).map((_, at) => (at * (seed + 6)) ^ (at >> 9))], "shop.tar.gz");

/** @param {import("./upload").Upload} upload @param {...string} phases */
async function until(upload, ...phases) {
  for (let second = 0; second < 1000 && !phases.includes(upload.get().phase); second += 1)
    await vi.advanceTimersByTimeAsync(1000);
  expect(phases).toContain(upload.get().phase);
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("an upload", () => {
  it("sends all of a file, and says its hash", async () => {
    const file = fileOf(3_000_000);
    const server = serverOf();
    const onDone = vi.fn();
    const upload = createUpload({ file, transport: server.transport, hash, onDone });
    upload.start();
    await until(upload, "done");
    expect(server.kept().equals(await bytesOf(file))).toBe(true);
    expect(onDone).toHaveBeenCalledExactlyOnceWith(createHash("sha256").update(server.kept()).digest("hex"));
    expect(upload.get()).toMatchObject({ done: 3_000_000, total: 3_000_000, error: null });
    expect(server.state.pieces).toBeGreaterThan(1);
  });

  it("sends nothing of what the server has already", async () => {
    const file = fileOf(0);
    const server = serverOf();
    const upload = createUpload({ file, transport: server.transport, hash });
    upload.start();
    await until(upload, "done");
    expect(server.state.pieces).toBe(0);
  });

  it("ends whole whatever fails on the way, also where only the answer is lost", async () => {
    for (const seed of seeds(8)) {
      const random = chance(seed);
      const file = fileOf(1_500_000, seed);
      let quiet = 0;
      const server = serverOf((what) => {
        if (quiet > 0 || !random.happens(0.4)) return void (quiet -= 1);
        quiet = 2; // no more than a few in a row
        if (what === "send" && random.happens(0.3)) server.forget();
        else throw random.pick([unreachable(), refusal(502), refusal(503)]);
      });
      const upload = createUpload({ file, transport: server.transport, hash });
      upload.start();
      await until(upload, "done");
      expect(server.kept().equals(await bytesOf(file))).toBe(true);
    }
  });

  it("goes on after a pause from what the server has", async () => {
    const file = fileOf(3_000_000);
    const server = serverOf();
    const upload = createUpload({
      file,
      hash,
      transport: {
        ...server.transport,
        async send(...request) {
          const answer = await server.transport.send(...request);
          if (server.state.pieces === 1) upload.pause();
          return answer;
        },
      },
    });
    upload.start();
    await until(upload, "paused");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(upload.get()).toMatchObject({ phase: "paused", part: "sending" });
    expect(server.state.pieces).toBe(1);
    upload.start();
    await until(upload, "done");
    expect(server.state.begun).toBe(1);
    expect(server.kept().equals(await bytesOf(file))).toBe(true);
  });

  it("says when it tries again, and stops for good where that cannot help", async () => {
    const outage = createUpload({
      file: fileOf(10),
      hash,
      transport: serverOf(() => {
        throw unreachable();
      }).transport,
    });
    outage.start();
    await until(outage, "waiting");
    expect(outage.get().retryAt).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    await until(outage, "failed");

    const full = createUpload({
      file: fileOf(10),
      hash,
      transport: serverOf(() => {
        throw refusal(413);
      }).transport,
    });
    full.start();
    await until(full, "failed");
    expect(full.get().error).toBeInstanceOf(Problem);
  });

  it("that is dropped is forgotten by the server", async () => {
    const server = serverOf((what) => {
      if (what === "send") throw unreachable();
    });
    const upload = createUpload({ file: fileOf(10), transport: server.transport, hash });
    upload.start();
    await until(upload, "waiting");
    upload.drop();
    expect(server.state.dropped).toBe(1);
  });
});
