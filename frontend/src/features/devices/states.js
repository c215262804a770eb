/** The words and marks of every state, written once. Colour is never alone: each has an icon and a word. */

/** @typedef {"online" | "offline" | "unknown" | "pending" | "quarantined" | "unverified" | "trusted"} StateName */

/** @type {Record<StateName, { word: string, icon: string, meaning: string }>} */
export const STATES = {
  online: { word: "Online", icon: "online", meaning: "Connected now." },
  offline: { word: "Offline", icon: "offline", meaning: "Not connected." },
  unknown: {
    word: "Unknown",
    icon: "unknown",
    meaning: "The server restarted and waits for this device to come back.",
  },
  pending: { word: "Pending", icon: "pending", meaning: "Seen, but gets no work until someone accepts it." },
  quarantined: {
    word: "Quarantined",
    icon: "quarantined",
    meaning: "Its identity is in conflict: no work until someone answers.",
  },
  unverified: { word: "Unverified", icon: "unverified", meaning: "A client without a key: presence only, never work." },
  trusted: { word: "Trusted", icon: "trusted", meaning: "May be given work." },
};

/** The counters of the dashboard: which facet each one sets. */
export const COUNTERS = /** @type {const} */ ([
  { name: "online", facet: "status" },
  { name: "offline", facet: "status" },
  { name: "unknown", facet: "status" },
  { name: "pending", facet: "trust" },
  { name: "quarantined", facet: "trust" },
]);

/** What needs an answer comes first when sorted by status. @type {Record<string, number>} */
const RANK = { quarantined: 0, pending: 1, offline: 2, unknown: 3, online: 4 };

/** @param {import("../../live/rows").Device} device */
export const statusRank = ({ trust, status }) => RANK[trust] ?? RANK[status];
