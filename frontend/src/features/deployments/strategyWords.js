/**
 * A strategy in words, as the wizard says it before it starts and the page afterwards. Pure.
 *
 * @typedef {import("./states").Deployment["strategy"]} Strategy
 * @typedef {Strategy["window"]} Window
 */
import { formatCount, plural } from "../../lib/text";
import { duration } from "../../lib/time";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_WORDS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** "Mon–Fri", "Sat, Sun", "every day". @param {string[]} days */
export function dayWords(days) {
  const at = DAYS.map((day, index) => (days.includes(day) ? index : -1)).filter((index) => index >= 0);
  if (at.length === DAYS.length) return "every day";
  const last = at.at(-1) ?? 0;
  if (at.length > 2 && last - at[0] === at.length - 1) return `${DAY_WORDS[at[0]]}–${DAY_WORDS[last]}`;
  return at.map((index) => DAY_WORDS[index]).join(", ");
}

/** @param {NonNullable<Window>} window */
export const windowWords = ({ days, begin, end, zone }) => `${dayWords(days)} ${begin}–${end} (${zone})`;

/** @param {string} threshold */
export function thresholdWords(threshold) {
  if (threshold.endsWith("%")) return `more than ${threshold.replace("%", " %")} of a wave fail`;
  return threshold === "0" ? "one device fails" : `more than ${plural(Number(threshold), "device")} fail`;
}

/** @type {Record<Strategy["order"], string>} */
const ORDERS = { name: "by name", random: "at random", tag: "by the tag" };

/** @param {Strategy} strategy */
function offlineWords({ offline, offline_after_s }) {
  if (offline === "wait") return "gets it when it is back";
  return `${offline === "skip" ? "is left out" : "counts as failed"} after ${duration(offline_after_s)}`;
}

/** Each part with its name. @param {Strategy} strategy @returns {[string, string][]} */
export function strategyFacts(strategy) {
  const { waves, max_parallel, healthy_percent, soak_s, on_failure, window, order, order_tag, deadline_s } = strategy;
  return [
    ["Waves", waves.join(", ")],
    ["At once", max_parallel === null ? "as many as the wave has" : plural(max_parallel, "device")],
    [
      "Gate",
      healthy_percent === null
        ? "all of a wave are over"
        : `${formatCount(healthy_percent)} % of a wave have it, healthy`,
    ],
    ["Soak", soak_s > 0 ? `${duration(soak_s)} after each wave` : "none"],
    [
      "When it fails",
      `${on_failure === "pause" ? "pauses" : "rolls back"} as soon as ${thresholdWords(strategy.failure_threshold)}`,
    ],
    ["Who is offline", offlineWords(strategy)],
    ["Order", order === "tag" ? `by the tag ${order_tag}, then by name` : ORDERS[order]],
    ["Window", window ? windowWords(window) : "any time"],
    ["Deadline", deadline_s === null ? "none" : `nothing starts later than ${duration(deadline_s)} after the begin`],
  ];
}
