/** A device's history of presence, read in pages and again whenever the device comes or goes. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";
import { DAY_MS, WINDOW_DAYS } from "./segments";
import { now } from "../../lib/clock";

/** @typedef {{ id: string | number, status: "online" | "offline", cause: string | null, detail: string, at: string, source_ip: string | null }} StatusEvent */

const PAGE = 100;
const MOST_PAGES = 5;

/** @param {number} id @param {string | undefined} cursor @param {number} limit @returns {Promise<{ items: StatusEvent[], next_cursor: string | null }>} */
const readPage = (id, cursor, limit) =>
  ask(
    api.GET("/api/v1/devices/{device_id}/status-events", {
      params: { path: { device_id: id }, query: { limit, ...(cursor && { cursor }) } },
    }),
  );

/** The last seven days, newest first. @param {import("../../live/rows").Device} device */
export const useWeek = (device) =>
  useQuery({
    queryKey: ["status-events", device.id, "week", device.status_since],
    placeholderData: keepPreviousData,
    queryFn: async () => {
      const oldest = now() - WINDOW_DAYS * DAY_MS;
      /** @type {StatusEvent[]} */
      const events = [];
      /** @type {string | undefined} */
      let cursor;
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const { items, next_cursor } = await readPage(device.id, cursor, PAGE * 5);
        events.push(...items);
        cursor = next_cursor ?? undefined;
        const last = items.at(-1);
        if (!cursor || !last || Date.parse(last.at) < oldest) return { events, whole: true };
      }
      return { events, whole: false };
    },
  });

/** @param {import("../../live/rows").Device} device */
export const useHistory = (device) =>
  useInfiniteQuery({
    queryKey: ["status-events", device.id, "pages", device.status_since],
    placeholderData: keepPreviousData,
    queryFn: ({ pageParam }) => readPage(device.id, pageParam, PAGE),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
