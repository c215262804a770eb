/**
 * The one way to the REST API: typed paths, failures as `Problem`, and one place that hears of a lost sign-in.
 */
import createClient from "openapi-fetch";
import { problemFrom, unreachable } from "./problem";

const SIGNING_IN = "/api/v1/auth/login";

/** @type {() => void} */
let signedOut = () => {};

/** @param {() => void} listener called when an answer says that nobody is signed in */
export function onSignedOut(listener) {
  signedOut = listener;
}

/** @type {() => Promise<boolean>} */
let proven = async () => false;

/** @param {() => Promise<boolean>} asker asks whoever sits there to show again that it is them; whether they did */
export function onProofNeeded(asker) {
  proven = asker;
  return () => (proven = async () => false);
}

/**
 * Sends a request, and sends it again once its user has proven what it needs. Its body is kept as text: a clone would
 * make a stream of it.
 *
 * @param {Request} request
 */
async function send(request) {
  const body = request.method === "GET" ? "" : await request.text();
  const once = () => fetch(new Request(request, body ? { body } : {}));
  const response = await once();
  if (response.status !== 403 || (await codeOf(response.clone())) !== "proof_required") return response;
  return (await proven()) ? once() : response;
}

/** @param {Response} response */
const codeOf = async (response) => (await response.json().catch(() => null))?.code;

/** @type {ReturnType<typeof createClient<import("./api-schema").paths>>} */
export const api = createClient({
  baseUrl: globalThis.location?.origin ?? "",
  credentials: "same-origin",
  fetch: send,
});

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
    if (response.status === 401 && !new URL(response.url).pathname.startsWith(SIGNING_IN)) signedOut();
    throw problemFrom(response, answer.error);
  }
  return /** @type {T} */ (answer.data);
}
