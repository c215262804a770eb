/** The second factor of whoever is signed in, and showing again that it is them. */
import { queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

/** @typedef {import("../../lib/api-schema").components["schemas"]["TwoFactorSetup"]} Setup */

export const twoFactorQuery = queryOptions({
  queryKey: ["two-factor"],
  queryFn: () => ask(api.GET("/api/v1/auth/two-factor")),
  staleTime: 0,
});

/** What an authenticator has to be told; it counts once `confirmSetup` had a code of it. @returns {Promise<Setup>} */
export const beginSetup = () => ask(api.POST("/api/v1/auth/two-factor"));

/** @param {string} code @returns {Promise<{ codes: string[] }>} recovery codes, shown this once */
export const confirmSetup = (code) => ask(api.POST("/api/v1/auth/two-factor/confirm", { body: { code } }));

/** @returns {Promise<{ codes: string[] }>} */
export const renewRecoveryCodes = () => ask(api.POST("/api/v1/auth/two-factor/recovery-codes"));

/** @param {{ password: string, code: string }} body */
export const turnOff = (body) => ask(api.POST("/api/v1/auth/two-factor/off", { body }));

/** @param {{ password?: string, code?: string }} body */
export const prove = (body) => ask(api.POST("/api/v1/auth/proof", { body }));
