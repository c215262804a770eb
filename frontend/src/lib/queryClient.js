/** TanStack Query owns history, tokens and forms; devices and claims belong to the live store. */
import { QueryClient } from "@tanstack/react-query";
import { Problem } from "./problem";

/** Only what can pass by itself is worth a second try. @param {number} failures @param {unknown} error */
const worthAnotherTry = (failures, error) =>
  failures < 2 && error instanceof Problem && (error.status === 0 || error.status >= 502);

export const createQueryClient = () =>
  new QueryClient({
    defaultOptions: {
      queries: { retry: worthAnotherTry, staleTime: 30_000, refetchOnWindowFocus: true },
      mutations: { retry: false },
    },
  });
