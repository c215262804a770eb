/**
 * The one way to the REST API: typed paths, failures as `Problem`, and one place that hears of a lost sign-in.
 */
import createClient from "openapi-fetch";
import { problemFrom, unreachable } from "./problem";

/** @type {() => void} */
let signedOut = () => {};

/** @param {() => void} listener called when an answer says that nobody is signed in */
export function onSignedOut(listener) {
  signedOut = listener;
}

/** @type {ReturnType<typeof createClient<import("./api-schema").paths>>} */
export const api = createClient({ baseUrl: globalThis.location?.origin ?? "", credentials: "same-origin" });

/**
 * The data of an answer, or a thrown `Problem`.
 *
 * @template T
 * @param {Promise<{ data?: T, error?: unknown, response: Response }>} request
 * @returns {Promise<T>}
 */
export async function ask(request) {
  let answer;
  try {
    answer = await request;
  } catch {
    throw unreachable();
  }
  const { response } = answer;
  if (!response.ok) {
    if (response.status === 401 && !response.url.endsWith("/auth/login")) signedOut();
    throw problemFrom(response, answer.error);
  }
  return /** @type {T} */ (answer.data);
}
