/**
 * Groups of devices, and what a selector means: everything that is asked of the REST API about them.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]["GroupView"]} Group
 * @typedef {import("../../lib/api-schema").components["schemas"]["SharedGroup"]} Share
 * @typedef {Share["role"]} MemberRole
 * @typedef {{ selector: string } | { device_ids: number[] }} Members
 */
import { queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";
import { Problem } from "../../lib/problem";

export const GROUPS = ["groups"];
export const SHARES = ["shares"];
export const ACCESS = ["access"];
export const NAME_MAX = 100;

/** @type {{ value: MemberRole, label: string }[]} */
export const MEMBER_ROLES = [
  { value: "viewer", label: "viewer" },
  { value: "operator", label: "operator" },
];

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

/** @param {string} id */
export const membersQuery = (id) =>
  queryOptions({
    queryKey: [...GROUPS, id, "members"],
    queryFn: () => ask(api.GET("/api/v1/groups/{group_id}/members", { params: ofGroup(id) })),
    staleTime: 0,
  });

/** @param {string} id @param {{ email: string, role: MemberRole }} body */
export const putMember = (id, body) => ask(api.PUT("/api/v1/groups/{group_id}/members", { params: ofGroup(id), body }));

/** @param {string} id @param {number} userId */
export const removeMember = (id, userId) =>
  ask(
    api.DELETE("/api/v1/groups/{group_id}/members/{user_id}", { params: { path: { group_id: id, user_id: userId } } }),
  );

/** @param {number} snapshots */
export const sharesQuery = (snapshots) =>
  queryOptions({
    queryKey: [...SHARES, snapshots],
    queryFn: () => ask(api.GET("/api/v1/shares")),
    placeholderData: (before) => before,
  });

/** @param {string} id */
export const leaveGroup = (id) => ask(api.DELETE("/api/v1/shares/{group_id}", { params: ofGroup(id) }));

/** @param {number} deviceId @param {number} snapshots */
export const accessQuery = (deviceId, snapshots) =>
  queryOptions({
    queryKey: [...ACCESS, deviceId, snapshots],
    queryFn: () => ask(api.GET("/api/v1/devices/{device_id}/access", { params: { path: { device_id: deviceId } } })),
    placeholderData: (before, query) => (query?.queryKey[1] === deviceId ? before : undefined),
  });

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
