/**
 * What is typed about a schedule, and the request that it is. Pure. What only the server can know (whether a cron
 * expression ever comes due, a selector) is the server's to refuse.
 *
 * @typedef {object} Timing
 * @property {string} name
 * @property {"cron" | "once"} by
 * @property {string} cron
 * @property {string} wall of a single time, as clocks in `zone` show it
 * @property {string} zone
 * @property {import("./api").Window[]} windows
 * @property {import("./api").Schedule["missed"]} missed
 * @property {string} grace
 * @property {import("./api").Schedule["overlap"]} overlap
 *
 * @typedef {Partial<Record<keyof Timing, string>>} TimingProblems
 */
import { durationText, parseDuration } from "../runs/compose/durations";
import { momentOf, ownZone, wallOf } from "./zones";

const GRACE_LEAST_S = 60;
const GRACE_MOST_S = 7 * 86_400;
const TIME_OF_DAY = /^([01]\d|2[0-3]):[0-5]\d$|^24:00$/;

export const DAYS = /** @type {const} */ (["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);

/** @returns {Timing} */
export const emptyTiming = () => ({
  name: "",
  by: "cron",
  cron: "",
  wall: "",
  zone: ownZone(),
  windows: [],
  missed: "once",
  grace: "1 h",
  overlap: "skip",
});

/** @param {Timing} timing @returns {import("./api").When | null} null: it does not say when yet */
export function whenOf({ by, cron, wall, zone, windows }) {
  if (by === "cron") return cron.trim() ? { cron: cron.trim(), timezone: zone.trim(), windows } : null;
  const at = momentOf(wall, zone.trim());
  return at ? { at, timezone: zone.trim(), windows } : null;
}

/** @param {Timing} timing @returns {TimingProblems} */
export function problemsOf(timing) {
  /** @type {TimingProblems} */
  const problems = {};
  if (!timing.name.trim()) problems.name = "Give it a name.";
  if (!whenOf(timing))
    if (timing.by === "cron") problems.cron = "Say when, such as 30 2 * * * for every day at 2:30.";
    else problems.wall = "Say when.";
  const grace = parseDuration(timing.grace);
  if (timing.missed === "once" && (grace === null || grace < GRACE_LEAST_S || grace > GRACE_MOST_S))
    problems.grace = "Between 1 min and 7 d, such as 30 min or 2 h.";
  if (timing.windows.some(({ start, end }) => !TIME_OF_DAY.test(start) || !TIME_OF_DAY.test(end)))
    problems.windows = "Write the times of a window like 22:00.";
  else if (timing.windows.some(({ days }) => days.length === 0)) problems.windows = "A window needs a day.";
  return problems;
}

/**
 * @param {Timing} timing
 * @param {import("./api").Action | null} action
 * @returns {import("./api").Wanted | null} null: something is missing
 */
export function wantedOf(timing, action) {
  const when = whenOf(timing);
  if (!when || !action || Object.keys(problemsOf(timing)).length > 0) return null;
  const { name, missed, overlap, grace } = timing;
  return { ...when, name: name.trim(), action, missed, overlap, grace_s: Math.round(parseDuration(grace) ?? 3600) };
}

/** The draft that a schedule was made from. @param {import("./api").Schedule} schedule @returns {Timing} */
export const timingOf = ({ name, at, cron, timezone, windows, missed, grace_s, overlap }) => ({
  name,
  by: at ? "once" : "cron",
  cron: cron ?? "",
  wall: at ? wallOf(at, timezone) : "",
  zone: timezone,
  windows,
  missed,
  grace: durationText(grace_s),
  overlap,
});
