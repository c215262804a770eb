/** What is said of schedules and of what came of their times. */
import { exactTime } from "../../lib/time";
import { plural } from "../../lib/text";

/** @type {Record<import("./api").Firing["state"], { word: string, icon: string, color: string }>} */
export const FIRINGS = {
  starting: { word: "starting", icon: "pending", color: "var(--state-pending)" },
  started: { word: "started", icon: "trusted", color: "var(--state-online)" },
  refused: { word: "not started", icon: "close", color: "var(--state-offline)" },
  skipped: { word: "skipped", icon: "unknown", color: "var(--state-unknown)" },
  missed: { word: "missed", icon: "offline", color: "var(--state-offline)" },
};

/** @param {import("./api").Schedule} schedule */
export const whenWords = ({ at, words, cron, timezone }) =>
  at ? `Once, ${exactTime(at)}` : `${words || cron}, ${timezone}`;

/** @param {import("./api").Window} window */
export const windowWords = ({ days, start, end }) =>
  `${days.length === 7 ? "every day" : days.join(", ")} ${start}–${end}`;

const LATE_MS = 60_000;

/** @param {import("./api").Firing} firing */
export function firingWords({ state, missed, reason, due_at, claimed_at, by_hand }) {
  const late = Date.parse(claimed_at) - Date.parse(due_at);
  return [
    by_hand && "by hand",
    state === "started" && late > LATE_MS && `made up for ${plural(Math.round(late / LATE_MS), "minute")} late`,
    missed > 1 && `${missed} times in a row`,
    reason,
  ]
    .filter(Boolean)
    .join(" · ");
}
