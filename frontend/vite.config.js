import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.DEPLOYX_DEV_SERVER ?? "http://127.0.0.1:8000";

/** The server replaces this text in index.html with a fresh nonce per response. */
const NONCE_PLACEHOLDER = "__CSP_NONCE__";

/** Tests that turn clocks or replace what all share have a world of their own. The others share a few: to make one for
 * each takes seven times as long as the tests. */
const HERE = fileURLToPath(new URL("./", import.meta.url));
const TESTS = readdirSync(`${HERE}src`, { recursive: true, encoding: "utf8" })
  .filter((name) => /\.test\.jsx?$/.test(name))
  .map((name) => `src/${name.replaceAll("\\", "/")}`);
const CHANGES_ITS_WORLD = /\bvi\.(useFakeTimers|stubGlobal|stubEnv|mock|doMock|resetModules|setSystemTime)\(/;
const APART = TESTS.filter((file) => CHANGES_ITS_WORLD.test(readFileSync(HERE + file, "utf8")));

export default defineConfig({
  plugins: [react()],
  html: { cspNonce: NONCE_PLACEHOLDER },
  build: {
    target: "es2022",
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
  },
  server: {
    host: "127.0.0.1",
    port: 5173,
    proxy: {
      "/api": server,
      "/healthz": server,
      "/ui/socket.io": { target: server, ws: true },
      "/socket.io": { target: server, ws: true },
    },
  },
  test: {
    environment: "happy-dom",
    setupFiles: ["src/test-setup.js"],
    restoreMocks: true,
    pool: "threads",
    projects: [
      { extends: true, test: { name: "apart", include: APART } },
      {
        extends: true,
        test: { name: "together", include: TESTS.filter((file) => !APART.includes(file)), isolate: false },
      },
    ],
  },
});
