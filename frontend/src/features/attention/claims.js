/** What each kind of claim means, and which answers fit it. */
import { store } from "../../live";
import { CLAIMS_CHANGED, DEVICES_CHANGED } from "../../live/events";
import { api, ask } from "../../lib/api";

/** @typedef {import("../../live/rows").Claim} Claim */
/** @typedef {"accept" | "merge" | "moved" | "split" | "reject"} Answer */

/** @type {Record<Answer, { label: string, hint: string }>} */
export const ANSWERS = {
  accept: { label: "Accept as new device", hint: "It gets ids of its own; the old device stays as it is." },
  merge: { label: "Accept and merge history", hint: "It takes over the old device's name, tags and history." },
  moved: { label: "It moved", hint: "The same machine with new hardware: trusted again." },
  split: { label: "Split", hint: "The copy gets a key of its own and becomes a device of its own." },
  reject: { label: "Dismiss", hint: "Nothing changes; who asked stays refused." },
};

/** A client without a key has nothing by which it could be known again, so it can only be turned away. */
const WITHOUT_KEY = /** @type {Answer[]} */ (["reject"]);

/** @type {Record<Claim["kind"], { title: string, explain: (claim: Claim) => string, answers: Answer[] }>} */
export const KINDS = {
  reinstalled: {
    title: "Reinstalled, or an impostor?",
    explain: ({ device_name, hostname }) =>
      `“${hostname}” came with a new key but names the ids of ${device_name}. That happens when a machine is reinstalled. ` +
      `It also happens when someone pretends to be it. ${device_name} is untouched until you answer.`,
    answers: ["merge", "accept", "reject"],
  },
  moved: {
    title: "Moved, or cloned?",
    explain: ({ device_name }) =>
      `${device_name} came back with its key, but more than half of its hardware is different. Either the disk moved to another ` +
      "machine, or this is a copy. It gets no work until you answer.",
    answers: ["moved", "split"],
  },
  cloned: {
    title: "Two machines with one identity",
    explain: ({ device_name }) =>
      `Two agents use the key of ${device_name} at the same time, as happens when a virtual machine is copied. Both get no work until ` +
      "you answer. Splitting makes the copy a device of its own.",
    answers: ["split", "moved"],
  },
};

/** The answers that the server takes, the likeliest first. @param {Claim} claim */
export const answersTo = ({ kind, keyed }) => (keyed ? KINDS[kind].answers : WITHOUT_KEY);

/** @param {Claim} claim @param {Answer} answer */
export async function answerClaim(claim, answer) {
  const params = { path: { claim_id: claim.id } };
  const { device } = await ask(
    answer === "accept" || answer === "merge"
      ? api.POST("/api/v1/claims/{claim_id}/accept", { params, body: { merge_history: answer === "merge" } })
      : api.POST(`/api/v1/claims/{claim_id}/${answer}`, { params }),
  );
  if (device) store.dispatch(DEVICES_CHANGED, { devices: [device] });
  const { claims, moreClaims } = store.get();
  store.dispatch(CLAIMS_CHANGED, { claims: claims.filter(({ id }) => id !== claim.id), more_claims: moreClaims });
}
