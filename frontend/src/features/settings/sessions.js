/** Where this user is signed in, and the password. */
import { queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

/** @typedef {import("../../lib/api-schema").components["schemas"]["SessionView"]} Session */

export const sessionsQuery = queryOptions({
  queryKey: ["sessions"],
  queryFn: () => ask(api.GET("/api/v1/auth/sessions")),
  staleTime: 0,
});

/** @param {string} id */
export const endSession = (id) =>
  ask(api.DELETE("/api/v1/auth/sessions/{session_id}", { params: { path: { session_id: id } } }));

/** @param {{ current: string, new: string }} body */
export const changePassword = (body) => ask(api.POST("/api/v1/auth/password", { body }));

/** Those that name others as well stand after them. @type {[string, string][]} */
const BROWSERS = [
  ["Edg", "Edge"],
  ["OPR/", "Opera"],
  ["Firefox/", "Firefox"],
  ["Chrome/", "Chrome"],
  ["Safari/", "Safari"],
];
/** @type {[string, string][]} */
const SYSTEMS = [
  ["Android", "Android"],
  ["iPhone", "iPhone"],
  ["iPad", "iPad"],
  ["Windows", "Windows"],
  ["Mac OS X", "macOS"],
  ["CrOS", "ChromeOS"],
  ["Linux", "Linux"],
];

/** `Firefox on Linux`: what a browser says of itself, in words; the whole of it where it is none that we know. @param {string} userAgent */
export function browserOf(userAgent) {
  const named = (/** @type {[string, string][]} */ of) => of.find(([mark]) => userAgent.includes(mark))?.[1];
  const words = [named(BROWSERS), named(SYSTEMS)].filter(Boolean).join(" on ");
  return words || userAgent || "unknown browser";
}
