/**
 * A view of the list: search, facets, sort, columns. The address holds all of it, so a view can be sent, kept and gone
 * back to; what equals the default is left out.
 *
 * @typedef {import("../../live/rows").Device} Device
 * @typedef {Record<"status" | "trust" | "platform" | "owner" | "tag", string[]>} Facets
 * @typedef {Facets & { q: string, sort: { column: string, descending: boolean }, columns: string[], widths: Record<string, number> }} View
 * @typedef {Partial<Record<"q" | "status" | "trust" | "platform" | "owner" | "tag" | "sort" | "cols", string>>} Search
 */
import { COLUMN_IDS, columnOf } from "./columns";
import { tagMatcher, tagTexts } from "./tags";

/** @type {(keyof Facets)[]} */
export const FACETS = ["status", "trust", "platform", "owner", "tag"];
const KEYS = /** @type {const} */ (["q", ...FACETS, "sort", "cols"]);
const DEFAULT_SORT = "name";

/** What the router keeps of an address's parameters. @param {Record<string, unknown>} raw @returns {Search} */
export function searchFrom(raw) {
  /** @type {Search} */
  const search = {};
  for (const key of KEYS) {
    const value = raw[key];
    if (value !== undefined && value !== null && String(value) !== "") search[key] = String(value);
  }
  return search;
}

/** Values may hold commas: they are written as `%2C` inside a list. @param {string | undefined} text */
const list = (text) => (text ? text.split(",").map(decodeURIComponentSafely).filter(Boolean) : []);

/** @param {string[]} values */
const joined = (values) => values.map((value) => value.replace(/[%,]/g, encodeURIComponent)).join(",") || undefined;

/** @param {string} text */
function decodeURIComponentSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {Search} search @returns {View} */
export function viewFrom(search) {
  const sort = search.sort ?? DEFAULT_SORT;
  const column = sort.replace(/^-/, "");
  const chosen = list(search.cols).map((part) => part.split(":"));
  const columns = [...new Set(chosen.map(([id]) => id))].filter((id) => COLUMN_IDS.includes(id));
  return {
    q: search.q ?? "",
    status: list(search.status),
    trust: list(search.trust),
    platform: list(search.platform),
    owner: list(search.owner),
    tag: list(search.tag),
    sort: columnOf(column) ? { column, descending: sort.startsWith("-") } : { column: DEFAULT_SORT, descending: false },
    columns: columns.length ? columns : COLUMN_IDS,
    widths: Object.fromEntries(
      chosen.filter(([, width]) => Number(width) > 0).map(([id, width]) => [id, Number(width)]),
    ),
  };
}

/** @param {View} view @returns {Search} */
export function searchOf(view) {
  const sort = `${view.sort.descending ? "-" : ""}${view.sort.column}`;
  const sized = view.columns.map((id) => (view.widths[id] ? `${id}:${Math.round(view.widths[id])}` : id)).join(",");
  return searchFrom({
    q: view.q,
    ...Object.fromEntries(FACETS.map((facet) => [facet, joined(view[facet])])),
    sort: sort === DEFAULT_SORT ? undefined : sort,
    cols: sized === COLUMN_IDS.join(",") ? undefined : sized,
  });
}

/** @param {View} view */
export const isFiltered = (view) => view.q.trim() !== "" || FACETS.some((facet) => view[facet].length > 0);

/** What a row has of each facet; a device without an owner belongs to nobody. @type {Record<keyof Facets, (device: Device) => string[]>} */
const FACET_OF = {
  status: (device) => [device.status],
  trust: (device) => [device.trust],
  platform: (device) => [device.platform],
  owner: (device) => [device.owner ?? NOBODY],
  tag: tagTexts,
};

/** @param {keyof Facets} facet @param {string[]} chosen @returns {(device: Device) => boolean} */
function facetMatcher(facet, chosen) {
  if (facet === "tag") return tagMatcher(chosen);
  const wanted = new Set(chosen);
  return (device) => wanted.has(FACET_OF[facet](device)[0]);
}

export const NOBODY = "nobody";

/** @type {WeakMap<Device, string>} */
const haystacks = new WeakMap();

/** @param {Device} device */
export function haystack(device) {
  let text = haystacks.get(device);
  if (text === undefined) {
    const { device_name, hostname, platform, ip_address, source_ip, agent_id, machine_id, agent_version, owner } =
      device;
    const words = [
      device_name,
      hostname,
      platform,
      ip_address,
      source_ip,
      agent_id,
      machine_id,
      agent_version,
      owner ?? "",
    ];
    text = [...words, ...tagTexts(device)].join("\n").toLowerCase();
    haystacks.set(device, text);
  }
  return text;
}

/** Words of a search; a device must hold each. @param {string} q */
export const termsOf = (q) => q.toLowerCase().split(/\s+/).filter(Boolean);

/** Whether a device belongs to a view. @param {View} view @returns {(device: Device) => boolean} */
export function matcher(view) {
  const terms = termsOf(view.q);
  const facets = FACETS.filter((facet) => view[facet].length > 0).map((facet) => facetMatcher(facet, view[facet]));
  return (device) => {
    for (const matches of facets) if (!matches(device)) return false;
    if (terms.length === 0) return true;
    const text = haystack(device);
    return terms.every((term) => text.includes(term));
  };
}

/** The values of a facet and how many devices have each, most first. @param {Iterable<Device>} devices @param {keyof Facets} facet */
export function facetValues(devices, facet) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const device of devices)
    for (const value of FACET_OF[facet](device)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
}
