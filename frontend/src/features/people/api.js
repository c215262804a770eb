/**
 * Users and invitations, for administrators; and what an invited one does with a link.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]} Schemas
 * @typedef {Schemas["PersonView"]} Person
 * @typedef {Person["role"]} Role
 * @typedef {Schemas["InvitationView"]} Invitation
 * @typedef {Schemas["NewInvitation"]} NewInvitation
 */
import { queryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

export const peopleQuery = queryOptions({
  queryKey: ["users"],
  queryFn: () => ask(api.GET("/api/v1/users")),
  staleTime: 0,
});

/** @param {number} id @param {{ role?: Role, disabled?: boolean }} body */
export const changePerson = (id, body) =>
  ask(api.PATCH("/api/v1/users/{user_id}", { params: { path: { user_id: id } }, body }));

export const invitationsQuery = queryOptions({
  queryKey: ["invitations"],
  queryFn: () => ask(api.GET("/api/v1/invitations")),
  staleTime: 0,
});

/** @param {{ email: string, role: Role, expires_in_s: number }} body @returns {Promise<NewInvitation>} */
export const invite = (body) => ask(api.POST("/api/v1/invitations", { body }));

/** @param {string} id */
export const revokeInvitation = (id) =>
  ask(api.DELETE("/api/v1/invitations/{invitation_id}", { params: { path: { invitation_id: id } } }));

/** A link as it is copied: under the server's public address, or under the one that this page has. @param {string} link */
export const wholeLink = (link) => new URL(link, location.origin).href;

/** @param {string} token */
export const invitedQuery = (token) =>
  queryOptions({
    queryKey: ["invited", token],
    queryFn: () => ask(api.POST("/api/v1/auth/invitation", { body: { token } })),
    staleTime: Infinity,
    retry: false,
  });

/** @param {{ token: string, password: string }} body */
export const acceptInvitation = (body) => ask(api.POST("/api/v1/auth/invitation/accept", { body }));

/** @type {{ value: Role, label: string }[]} */
export const ROLES = [
  { value: "viewer", label: "Viewer: looks" },
  { value: "operator", label: "Operator: also runs and changes" },
  { value: "admin", label: "Administrator: all of everyone's" },
];
