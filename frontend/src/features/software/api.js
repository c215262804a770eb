/**
 * Everything that software asks of the REST API.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]} Schemas
 * @typedef {Schemas["SoftwareItem"]} Item
 * @typedef {Schemas["DeviceWithSoftware"]} Having
 */
import { infiniteQueryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

const PAGE = 100;
const PICKED_MAX = 5_000;

/** @param {Record<string, unknown>} query */
const given = (query) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));

/** @param {string} q @param {string} [cursor] @param {number} [limit] */
const listDevices = (q, cursor, limit = PAGE) =>
  ask(api.GET("/api/v1/software/devices", { params: { query: { q, limit, ...given({ cursor }) } } }));

/** What is installed anywhere, by name. @param {string} q */
export const softwareQuery = (q) =>
  infiniteQueryOptions({
    queryKey: ["software", "list", q],
    queryFn: ({ pageParam }) =>
      ask(api.GET("/api/v1/software", { params: { query: given({ q, limit: PAGE, cursor: pageParam }) } })),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
    retry: false,
  });

/** Which devices have it. @param {string} q */
export const havingQuery = (q) =>
  infiniteQueryOptions({
    queryKey: ["software", "devices", q],
    queryFn: ({ pageParam }) => listDevices(q, pageParam),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    enabled: q !== "",
    placeholderData: (before) => before,
    retry: false,
  });

/** The ids of all devices that have it, 5,000 at most. @param {string} q */
export async function idsHaving(q) {
  /** @type {number[]} */
  const ids = [];
  let cursor;
  do {
    /** @type {Schemas["DeviceWithSoftwarePage"]} */
    const page = await listDevices(q, cursor, 500);
    ids.push(...page.items.map(({ device_id }) => device_id));
    cursor = page.next_cursor ?? undefined;
  } while (cursor && ids.length < PICKED_MAX);
  return ids;
}

/** @param {number} deviceId @param {string} q */
export const ofDeviceQuery = (deviceId, q) =>
  infiniteQueryOptions({
    queryKey: ["software", "device", deviceId, q],
    queryFn: ({ pageParam }) =>
      ask(
        api.GET("/api/v1/devices/{device_id}/software", {
          params: { path: { device_id: deviceId }, query: given({ q, limit: PAGE, cursor: pageParam }) },
        }),
      ),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
  });
