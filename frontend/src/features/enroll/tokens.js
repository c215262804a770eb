/** Enrolment tokens as the server keeps them. The secret comes once, in the answer to `createToken`. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

/** @typedef {import("../../lib/api-schema").components["schemas"]} Schemas */
/** @typedef {Schemas["EnrollmentTokenView"]} Token */
/** @typedef {Schemas["NewEnrollmentTokenView"]} NewToken */
/** @typedef {{ name: string, max_uses: number, expires_in_s: number }} Wanted */

export const TOKENS_KEY = ["enrollment-tokens"];

const PAGE = 100;

/** Newest first, a page at a time. @param {boolean} open those that may still admit a machine, else those that are over */
export const tokensQuery = (open) =>
  infiniteQueryOptions({
    queryKey: [...TOKENS_KEY, open ? "open" : "over"],
    queryFn: ({ pageParam }) =>
      ask(
        api.GET("/api/v1/enrollment-tokens", {
          params: { query: { open, limit: PAGE, ...(pageParam && { cursor: pageParam }) } },
        }),
      ),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

/** @param {string} id */
export const tokenQuery = (id) =>
  queryOptions({
    queryKey: [...TOKENS_KEY, id],
    queryFn: () => ask(api.GET("/api/v1/enrollment-tokens/{token_id}", { params: { path: { token_id: id } } })),
  });

/** @param {Wanted} body @returns {Promise<NewToken>} */
export const createToken = (body) => ask(api.POST("/api/v1/enrollment-tokens", { body }));

/** @param {string} id */
export const revokeToken = (id) =>
  ask(api.DELETE("/api/v1/enrollment-tokens/{token_id}", { params: { path: { token_id: id } } }));

/** Enrols this machine and connects it, in one line. @param {NewToken} token */
export const lineOf = ({ command }) => `${command} && deployx-agent run`;

/** @param {Token} token @param {number} nowMs @returns {"open" | "used" | "expired" | "revoked"} */
export function stateOf({ revoked_at, uses, max_uses, expires_at }, nowMs) {
  if (revoked_at) return "revoked";
  if (uses >= max_uses) return "used";
  return Date.parse(expires_at) <= nowMs ? "expired" : "open";
}
