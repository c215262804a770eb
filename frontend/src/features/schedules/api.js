/**
 * Everything that schedules ask of the REST API.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]} Schemas
 * @typedef {Schemas["ScheduleView"]} Schedule
 * @typedef {Schemas["FiringView"]} Firing
 * @typedef {Schemas["NextTimes"]} NextTimes
 * @typedef {Schemas["Planned"]} Planned
 * @typedef {Schemas["ScheduleWindow"]} Window
 * @typedef {{ at?: string, cron?: string, timezone: string, windows: Window[] }} When
 * @typedef {{ kind: "run", request: import("../runs/api").RunRequest } | { kind: "deployment", request: import("../deployments/api").DeploymentRequest }} Action
 * @typedef {When & { name: string, action: Action, missed: Schedule["missed"], grace_s: number, overlap: Schedule["overlap"] }} Wanted
 */
import { queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

export const NAME_MAX = 100;
const REFRESH_MS = 15_000;

/** What has a default may be left out, which the generated types do not know. @param {object} body @returns {any} */
const partly = (body) => body;

/** @param {string} id */
const of = (id) => ({ path: { schedule_id: id } });

async function everySchedule() {
  /** @type {Schedule[]} */
  const found = [];
  /** @type {string | null} */
  let cursor = null;
  do {
    /** @type {{ limit: number, cursor?: string }} */
    const query = { limit: 200, ...(cursor ? { cursor } : {}) };
    /** @type {Schemas["SchedulePage"]} */
    const page = await ask(api.GET("/api/v1/schedules", { params: { query } }));
    found.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}

export const schedulesQuery = queryOptions({
  queryKey: ["schedules", "list"],
  queryFn: everySchedule,
  refetchInterval: REFRESH_MS,
});

/** @param {string} id */
export const scheduleQuery = (id) =>
  queryOptions({
    queryKey: ["schedules", "one", id],
    queryFn: () => ask(api.GET("/api/v1/schedules/{schedule_id}", { params: of(id) })),
    refetchInterval: REFRESH_MS,
  });

/** @param {string} id */
export const nextTimesQuery = (id) =>
  queryOptions({
    queryKey: ["schedules", "next", id],
    queryFn: () => ask(api.GET("/api/v1/schedules/{schedule_id}/next", { params: of(id) })),
    refetchInterval: REFRESH_MS,
  });

/** @param {string} start @param {string} end */
export const calendarQuery = (start, end) =>
  queryOptions({
    queryKey: ["schedules", "calendar", start, end],
    queryFn: () => ask(api.GET("/api/v1/schedules/calendar", { params: { query: { start, end } } })),
    refetchInterval: REFRESH_MS,
  });

/** @param {string} id @param {string} [cursor] */
export const listFirings = (id, cursor) =>
  ask(
    api.GET("/api/v1/schedules/{schedule_id}/firings", {
      params: { ...of(id), query: cursor ? { limit: 50, cursor } : { limit: 50 } },
    }),
  );

/** @param {When} when @param {AbortSignal} [signal] */
export const previewWhen = (when, signal) => ask(api.POST("/api/v1/schedules/preview", { body: partly(when), signal }));

/** @param {Wanted} wanted */
export const createSchedule = (wanted) => ask(api.POST("/api/v1/schedules", { body: partly(wanted) }));

/** @param {string} id @param {number} rev as it was read @param {Wanted} wanted */
export const changeSchedule = (id, rev, wanted) =>
  ask(
    api.PUT("/api/v1/schedules/{schedule_id}", {
      params: { ...of(id), header: { "if-match": `"${rev}"` } },
      body: partly(wanted),
    }),
  );

/** @param {string} id */
export const pauseSchedule = (id) => ask(api.POST("/api/v1/schedules/{schedule_id}/pause", { params: of(id) }));

/** @param {string} id */
export const resumeSchedule = (id) => ask(api.POST("/api/v1/schedules/{schedule_id}/resume", { params: of(id) }));

/** @param {string} id @param {string} key the same for every attempt */
export const startSchedule = (id, key) =>
  ask(api.POST("/api/v1/schedules/{schedule_id}/start", { params: { ...of(id), header: { "Idempotency-Key": key } } }));

/** @param {string} id */
export const deleteSchedule = (id) => ask(api.DELETE("/api/v1/schedules/{schedule_id}", { params: of(id) }));
