/**
 * The states of the link to the server, and the only ways between them.
 *
 * @typedef {"idle" | "connecting" | "syncing" | "live" | "lost"} LinkState
 * @typedef {"start" | "connected" | "synced" | "closed" | "retry" | "stop"} LinkEvent
 */

/** @type {Record<LinkState, Partial<Record<LinkEvent, LinkState>>>} */
export const TRANSITIONS = {
  idle: { start: "connecting" }, // nobody is signed in
  connecting: { connected: "syncing", closed: "lost", stop: "idle" }, // dialling
  syncing: { synced: "live", closed: "lost", stop: "idle" }, // connected, the snapshot is arriving
  live: { closed: "lost", stop: "idle" }, // what is shown is true
  lost: { retry: "connecting", stop: "idle" }, // waiting for the next attempt
};

/** @param {LinkState} state @param {LinkEvent} event @returns {LinkState} the same state when the event means nothing in it */
export const advance = (state, event) => TRANSITIONS[state][event] ?? state;

const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 15_000;

/**
 * How long to wait before attempt `attempt` (0 is the first): doubling, capped, and spread so that a thousand dashboards
 * do not return in one instant.
 *
 * @param {number} attempt
 * @param {number} random in [0, 1)
 */
export const retryDelayMs = (attempt, random) =>
  Math.round(Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * (0.5 + random / 2));
