import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.DEPLOYX_DEV_SERVER ?? "http://127.0.0.1:8000";

/** The server replaces this text in index.html with a fresh nonce per response. */
const NONCE_PLACEHOLDER = "__CSP_NONCE__";

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
    include: ["src/**/*.test.{js,jsx}"],
    setupFiles: ["src/test-setup.js"],
    restoreMocks: true,
  },
});
