/** Who is signed in. The cookie is the server's business; this only asks. */
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { forgetEverything } from "../../live";
import { api, ask } from "../../lib/api";

/** @typedef {import("../../lib/api-schema").components["schemas"]["UserView"]} Me */

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: () => ask(api.GET("/api/v1/auth/me")),
  staleTime: Infinity,
  gcTime: Infinity,
});

export const useMe = () => useQuery(meQuery).data;

/** Viewers look; operators and administrators act. */
export const useMayAct = () => useMe()?.role !== "viewer";

/** @param {string} email @param {string} password */
export const signIn = (email, password) => ask(api.POST("/api/v1/auth/login", { body: { email, password } }));

/** The second step, where there is a second factor. @param {string} challenge @param {string} code */
export const signInWithCode = (challenge, code) =>
  ask(api.POST("/api/v1/auth/login/second-factor", { body: { challenge, code } }));

/** Ends the session here and on the server; also where the server cannot be reached, nothing stays on the screen. */
export function useSignOut() {
  const queryClient = useQueryClient();
  return async () => {
    try {
      await ask(api.POST("/api/v1/auth/logout"));
    } finally {
      forgetEverything();
      queryClient.clear();
    }
  };
}

/** Where to go after signing in: only ever a path of this dashboard. @param {string | undefined} to */
export const safeTarget = (to) => (to?.startsWith("/") && !to.startsWith("//") && !to.startsWith("/\\") ? to : "/");
