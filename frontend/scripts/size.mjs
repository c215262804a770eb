/** Fails when the JavaScript that the first page needs is more than the budget allows, or when the build names a host. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const BUDGET_KB = 260;
/** What the first page shows, besides the entry: the frame and the list. */
const FIRST_PAGE = ["src/pages/Signed.jsx", "src/pages/Dashboard.jsx"];
const dist = join(import.meta.dirname, "..", "dist");
/** @type {Record<string, { file: string, imports?: string[], isEntry?: boolean, dynamicImports?: string[] }>} */
const manifest = JSON.parse(readFileSync(join(dist, ".vite", "manifest.json"), "utf8"));

/** What the browser fetches for a route: the entry, the route's chunk, and what they import. */
const needed = new Set();
/** @param {string} key */
function follow(key) {
  const chunk = manifest[key];
  if (!chunk || needed.has(chunk.file)) return;
  needed.add(chunk.file);
  chunk.imports?.forEach(follow);
}
Object.keys(manifest)
  .filter((key) => manifest[key].isEntry || FIRST_PAGE.includes(key))
  .forEach(follow);

/** @param {string} file */
const gzipped = (file) => gzipSync(readFileSync(join(dist, file)), { level: 9 }).length / 1000;
let total = 0;
for (const file of needed) {
  const size = gzipped(file);
  total += size;
  console.log(`${size.toFixed(1).padStart(7)} kB  ${file}`);
}
console.log(`${total.toFixed(1).padStart(7)} kB  gzipped JavaScript for the first page (budget ${BUDGET_KB} kB)`);

const html = readFileSync(join(dist, "index.html"), "utf8");
const foreign = html.match(/(?:src|href)="(?:https?:)?\/\/[^"]+"/g) ?? [];
const unnonced = (html.match(/<script(?![^>]*nonce=)[^>]*>/g) ?? []).length;
if (foreign.length) console.error(`index.html loads from another host: ${foreign.join(", ")}`);
if (unnonced) console.error(`index.html has ${unnonced} script tag(s) without a nonce.`);
const inlined = readdirSync(join(dist, "assets")).length === 0;
process.exitCode = total > BUDGET_KB || foreign.length || unnonced || inlined ? 1 : 0;
