/**
 * Everything that releases and artifacts ask of the REST API.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]} Schemas
 * @typedef {Schemas["ReleaseView"]} Release
 * @typedef {Schemas["ReleaseDetail"]} ReleaseDetail
 * @typedef {Schemas["ReleaseCheck"]} ReleaseCheck
 * @typedef {Schemas["ArtifactView"]} Artifact
 */
import { api, ask } from "../../lib/api";

const RELEASE_TYPE = "application/vnd.deployx.release.v1+json";

/** What is not set is not sent. @param {Record<string, unknown>} query */
const given = (query) =>
  Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== ""));

/** @param {{ name?: string, version?: string, q?: string, cursor?: string, limit?: number }} query */
export const listReleases = (query) => ask(api.GET("/api/v1/releases", { params: { query: given(query) } }));

/** @param {string} id */
const readById = (id) => ask(api.GET("/api/v1/releases/{release_id}", { params: { path: { release_id: id } } }));

/** @param {string} ref an id, or `NAME@VERSION` @returns {Promise<ReleaseDetail>} */
export async function readRelease(ref) {
  const at = ref.indexOf("@");
  if (at < 0) return readById(ref);
  const { items } = await listReleases({ name: ref.slice(0, at), version: ref.slice(at + 1), limit: 1 });
  return readById(items[0]?.id ?? "none");
}

/**
 * Which devices have it; `standing` and `q` narrow what is listed, not what is counted.
 *
 * @param {string} id
 * @param {{ standing?: Schemas["Standing"], q?: string, cursor?: string, limit?: number }} query
 * @param {AbortSignal} [signal]
 */
export const readCompliance = (id, { standing, ...query }, signal) =>
  ask(
    api.GET("/api/v1/releases/{release_id}/compliance", {
      params: { path: { release_id: id }, query: given({ ...query, standing: standing && [standing] }) },
      signal,
    }),
  );

/** UTF-8 as base64, also of what is long. @param {string} text */
export function base64Of(text) {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** A manifest as nobody has signed it. @param {string} payload its JSON */
const envelopeOf = (payload) => ({ payload: base64Of(payload), payloadType: RELEASE_TYPE, signatures: [] });

/** @param {string} payload @param {AbortSignal} [signal] */
export const checkRelease = (payload, signal) =>
  ask(api.POST("/api/v1/releases/check", { body: envelopeOf(payload), signal }));

/** @param {string} payload */
export const createRelease = (payload) => ask(api.POST("/api/v1/releases", { body: envelopeOf(payload) }));

/** @param {string} id */
export const deleteRelease = (id) =>
  ask(api.DELETE("/api/v1/releases/{release_id}", { params: { path: { release_id: id } } }));

/** @param {string} sha256 where a browser downloads it */
export const contentUrl = (sha256) => `/api/v1/artifacts/${sha256}/content`;
