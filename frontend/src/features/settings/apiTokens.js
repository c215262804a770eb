/** This user's API tokens. The secret comes once, in the answer to `createApiToken`. */
import { queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

/** @typedef {import("../../lib/api-schema").components["schemas"]} Schemas */
/** @typedef {Schemas["TokenView"]} ApiToken */
/** @typedef {Schemas["NewToken"]} NewApiToken */

export const apiTokensQuery = queryOptions({
  queryKey: ["api-tokens"],
  queryFn: () => ask(api.GET("/api/v1/api-tokens")),
});

/** @param {{ name: string, expires_in_s: number | null, scopes: ApiToken["scopes"] }} body @returns {Promise<NewApiToken>} */
export const createApiToken = (body) => ask(api.POST("/api/v1/api-tokens", { body }));

/** @param {string} id */
export const deleteApiToken = (id) =>
  ask(api.DELETE("/api/v1/api-tokens/{token_id}", { params: { path: { token_id: id } } }));
