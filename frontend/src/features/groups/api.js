/**
 * Groups of devices, and what a selector means: everything that is asked of the REST API about them.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]["GroupView"]} Group
 * @typedef {{ selector: string } | { device_ids: number[] }} Members
 */
import { api, ask } from "../../lib/api";
import { Problem } from "../../lib/problem";

export const GROUPS = ["groups"];
export const NAME_MAX = 100;

export const listGroups = () => ask(api.GET("/api/v1/groups"));

/** @param {string} id */
const ofGroup = (id) => ({ path: { group_id: id } });

/** @param {string} id with the devices of a static one */
export const readGroup = (id) => ask(api.GET("/api/v1/groups/{group_id}", { params: ofGroup(id) }));

/** @param {string} name @param {Members} members */
export const createGroup = (name, members) => ask(api.POST("/api/v1/groups", { body: { name, ...members } }));

/** @param {string} id @param {{ name?: string } & Partial<Members>} body */
export const changeGroup = (id, body) => ask(api.PATCH("/api/v1/groups/{group_id}", { params: ofGroup(id), body }));

/** @param {string} id */
export const deleteGroup = (id) => ask(api.DELETE("/api/v1/groups/{group_id}", { params: ofGroup(id) }));

/**
 * Throws a `Problem`, with the place, for a selector that cannot be used. It is asked at every pause in typing, so the
 * server does not answer with an error, which the browser would log.
 * @param {string} selector @param {AbortSignal} [signal]
 */
export async function checkSelector(selector, signal) {
  const { fault } = await ask(api.GET("/api/v1/selectors/check", { params: { query: { selector } }, signal }));
  if (!fault) return;
  const { code, message: detail, position } = fault;
  throw new Problem({
    status: 422,
    code,
    title: "The selector cannot be used",
    detail,
    position: position ?? undefined,
  });
}
