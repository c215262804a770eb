/**
 * The audit record as the REST API gives it, and how an entry reads.
 *
 * @typedef {import("../../lib/api-schema").components["schemas"]["AuditEntryView"]} Entry
 * @typedef {{ action?: string, actor?: string, object?: string }} Filter
 */
import { infiniteQueryOptions } from "@tanstack/react-query";
import { api, ask } from "../../lib/api";

const PAGE = 100;

/** What is not set is not sent. @param {Filter} filter */
const queryOf = ({ action, actor, object }) => ({
  ...(action && { action }),
  ...(actor && { actor }),
  ...(object && { object_id: object }),
});

/** Newest first, a page at a time. @param {Filter} filter */
export const auditQuery = (filter) =>
  infiniteQueryOptions({
    queryKey: ["audit", queryOf(filter)],
    queryFn: ({ pageParam }) =>
      ask(
        api.GET("/api/v1/audit", {
          params: { query: { ...queryOf(filter), limit: PAGE, ...(pageParam && { cursor: pageParam }) } },
        }),
      ),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: (before) => before,
    staleTime: 0,
  });

/** Where a browser downloads the same entries as JSON lines. @param {Filter} filter */
export function exportUrl(filter) {
  const query = new URLSearchParams(queryOf(filter)).toString();
  return `/api/v1/audit/export${query && `?${query}`}`;
}

/** What the filter offers: a kind of thing, and how it is called. */
export const KINDS = [
  { value: "", label: "Everything" },
  { value: "user", label: "People and sign-ins" },
  { value: "invitation", label: "Invitations" },
  { value: "request", label: "Refused requests" },
  { value: "device", label: "Devices" },
  { value: "claim", label: "Claims" },
  { value: "run", label: "Runs" },
  { value: "task", label: "Tasks" },
  { value: "output", label: "Output that was read" },
  { value: "group", label: "Groups" },
  { value: "saved_command", label: "Saved commands" },
  { value: "enrollment_token", label: "Enrolment tokens" },
  { value: "api_token", label: "API tokens" },
  { value: "audit", label: "The record itself" },
];

/** @type {Record<string, string>} */
const DID = {
  "user.signed_in": "signed in",
  "user.sign_in_refused": "was refused to sign in",
  "user.code_refused": "was refused with a wrong code",
  "user.proven": "showed again that it is them",
  "user.signed_out": "signed out",
  "user.session_ended": "ended another session",
  "user.password_changed": "changed the password",
  "user.two_factor_enabled": "turned on two-factor sign-in",
  "user.two_factor_disabled": "turned off two-factor sign-in",
  "user.two_factor_reset": "reset the second factor of",
  "user.recovery_codes_made": "made other recovery codes",
  "user.created": "made the user",
  "user.password_reset": "reset the password of",
  "user.disabled": "shut out",
  "user.enabled": "let in again",
  "user.role_changed": "changed the role of",
  "api_token.created": "made the API token",
  "api_token.deleted": "deleted the API token",
  "request.refused": "was refused",
  "enrollment_token.created": "made the enrolment token",
  "enrollment_token.revoked": "revoked the enrolment token",
  "device.enrolled": "enrolled as",
  "device.accepted": "accepted the device",
  "device.rejected": "rejected the device",
  "device.changed": "changed the device",
  "device.deleted": "deleted the device",
  "device.quarantined": "came as a second",
  "device.claimed": "claimed to be",
  "device.split": "became a device apart from",
  "claim.answered": "answered the claim of",
  "group.created": "made the group",
  "group.changed": "changed the group",
  "group.deleted": "deleted the group",
  "group.member_added": "shared the group",
  "group.member_changed": "gave a member another role in the group",
  "group.member_removed": "stopped to share the group",
  "group.left": "left the group",
  "invitation.created": "invited",
  "invitation.revoked": "revoked the invitation of",
  "invitation.accepted": "accepted the invitation",
  "saved_command.created": "saved the command",
  "saved_command.deleted": "deleted the saved command",
  "run.started": "ran",
  "run.cancelled": "called off",
  "run.withdrawn": "called off what was not shared any more of",
  "run.refused": "heard devices refuse",
  "task.cancelled": "called off the task on",
  "output.read": "read output of the run",
  "output.downloaded": "downloaded the output of the run",
  "audit.exported": "exported the audit record",
  "audit.pruned": "deleted old entries of the audit record",
};
const OWN = new Set([
  "user.signed_in",
  "user.signed_out",
  "user.sign_in_refused",
  "user.code_refused",
  "user.proven",
  "user.session_ended",
  "user.password_changed",
  "user.two_factor_enabled",
  "user.two_factor_disabled",
  "user.recovery_codes_made",
  "invitation.accepted",
]);

/** Who did it, as people say it. @param {Entry} entry */
export const whoOf = ({ actor, actor_kind }) => (actor_kind === "nobody" ? actor || "someone unknown" : actor);

/** What was done; an action that is newer than this page stands under its own name. @param {Entry} entry */
export const didOf = ({ action }) => DID[action] ?? action;

/** To what, or nothing where the sentence is over already. @param {Entry} entry */
export const whatOf = ({ action, object_name, object_id }) => (OWN.has(action) ? "" : object_name || object_id);

/** The address of what it was done to, if that has one. @param {Entry} entry */
export function placeOf({ object_kind, object_id, details }) {
  if (!object_id) return null;
  if (object_kind === "device") return `/devices/${object_id}`;
  if (object_kind === "run" || object_kind === "output") return `/runs/${object_id}`;
  if (object_kind === "task" && typeof details.run_id === "string") return `/runs/${details.run_id}?task=${object_id}`;
  return null;
}

/** A detail as text: what changed from what to what, or the plain value. @param {unknown} value */
export function valueOf(value) {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value) && value.length === 2) return `${plain(value[0])} → ${plain(value[1])}`;
  return plain(value);
}

/** @param {unknown} value */
const plain = (value) => (typeof value === "string" ? value || "“”" : JSON.stringify(value));
