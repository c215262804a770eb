/**
 * What is chosen in the wizard, the address that holds it, and the request that it is. Pure. A problem names the field and
 * says what to do; what only the server can know (a selector, a release, a time zone) is the server's to refuse.
 *
 * @typedef {object} Draft
 * @property {string} release NAME@VERSION, or the SHA-256 of its payload
 * @property {"selector" | "devices"} by
 * @property {string} selector
 * @property {number[]} ids
 * @property {boolean} following
 * @property {string} waves "1, 10%, 50%, 100%"
 * @property {string} parallel
 * @property {string} fails how many may fail
 * @property {"pause" | "roll_back"} onFailure
 * @property {string} soak
 * @property {string} healthy a percentage, or empty
 * @property {"wait" | "skip" | "fail"} offline
 * @property {string} away after how long
 * @property {"name" | "random" | "tag"} order
 * @property {string} tag
 * @property {string} deadline
 * @property {string} days empty: there is no window; "mon,tue"
 * @property {string} begin
 * @property {string} end
 * @property {string} zone
 *
 * @typedef {Partial<Record<keyof Draft, string>>} Problems
 */
import { durationText, parseDuration } from "../../runs/compose/durations";
import { idsFrom, idsText } from "./ids";

/** @type {Draft} */
export const EMPTY = {
  release: "",
  by: "selector",
  selector: "",
  ids: [],
  following: false,
  waves: "1, 10%, 50%, 100%",
  parallel: "",
  fails: "0",
  onFailure: "pause",
  soak: "5 min",
  healthy: "",
  offline: "wait",
  away: "1 h",
  order: "name",
  tag: "",
  deadline: "",
  days: "",
  begin: "22:00",
  end: "05:00",
  zone: "",
};

export const STEPS = /** @type {const} */ (["release", "targets", "waves", "confirm"]);
/** @typedef {typeof STEPS[number]} Step */

/** Which step each field is asked at. @type {Record<Step, (keyof Draft)[]>} */
const FIELDS = {
  release: ["release"],
  targets: ["selector", "ids"],
  waves: ["waves", "parallel", "fails", "soak", "healthy", "away", "tag", "deadline", "days", "begin", "end", "zone"],
  confirm: [],
};

export const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/** The address of a draft: what is as it was in the beginning is left out. @param {Draft} draft @returns {Record<string, string | undefined>} */
export function searchOf(draft) {
  const { ids, following, by, selector, ...rest } = draft;
  const changed = Object.entries(rest).filter(([name, value]) => value !== EMPTY[/** @type {keyof Draft} */ (name)]);
  return {
    ...Object.fromEntries(changed.map(([name, value]) => [name, String(value)])),
    on: by === "selector" ? selector || undefined : undefined,
    ids: by === "devices" ? idsText(ids) || "none" : undefined,
    following: following ? "yes" : undefined,
  };
}

const ONE_OF = /** @type {Partial<Record<keyof Draft, string[]>>} */ ({
  onFailure: ["pause", "roll_back"],
  offline: ["wait", "skip", "fail"],
  order: ["name", "random", "tag"],
});

/** @param {Record<string, unknown>} search @returns {Draft} */
export function draftOf(search) {
  const { ids, following, by, selector, ...rest } = EMPTY;
  const read = Object.fromEntries(
    Object.entries(rest).map(([name, initial]) => {
      const given = search[name] === undefined ? initial : String(search[name]);
      return [name, ONE_OF[/** @type {keyof Draft} */ (name)]?.includes(given) === false ? initial : given];
    }),
  );
  const picked = search.ids === undefined ? null : String(search.ids);
  return /** @type {Draft} */ ({
    ...read,
    by: picked === null ? by : "devices",
    ids: picked === null ? ids : idsFrom(picked),
    selector: search.on === undefined ? selector : String(search.on),
    following: search.following === undefined ? following : true,
  });
}

/** @param {string} text */
export const wavesFrom = (text) =>
  text
    .split(/[\s,;]+/)
    .map((part) => part.trim())
    .filter(Boolean);

/** @param {string} text */
function wavesProblem(text) {
  const waves = wavesFrom(text);
  if (waves.length === 0) return "Say at least one wave, such as 100%.";
  const odd = waves.find((wave) => !/^\d+(\.\d+)?%?$/.test(wave) || Number.parseFloat(wave) <= 0);
  if (odd) return `${odd} is no wave: say a count (5) or a percentage (10%).`;
  return waves.at(-1) === "100%" ? undefined : "The last wave has to be 100%, or some devices would never have a turn.";
}

/** @param {string} text @param {string} what */
const durationProblem = (text, what) =>
  text.trim() && parseDuration(text) === null ? `${what} is a duration, such as 10 min or 2 h.` : undefined;

/** @param {Draft} draft @returns {Problems} */
export function problemsOf(draft) {
  const { release, by, selector, ids, waves, parallel, fails, healthy, soak, away, offline, order, tag, deadline } =
    draft;
  /** @type {Problems} */
  const found = {
    release: release ? undefined : "Choose a release.",
    selector: by === "devices" || selector.trim() ? undefined : "Describe the devices, or * for all of them.",
    ids: by === "selector" || ids.length > 0 ? undefined : "Pick at least one device.",
    waves: wavesProblem(waves),
    parallel: /^\s*([1-9]\d*)?\s*$/.test(parallel) ? undefined : "Say how many devices at once, or nothing.",
    fails: /^\s*\d+(\.\d+)?%?\s*$/.test(fails) ? undefined : "Say a count (2) or a percentage of a wave (5%).",
    soak: durationProblem(soak, "The soak time"),
    healthy:
      !healthy.trim() || (Number(healthy) > 0 && Number(healthy) <= 100)
        ? undefined
        : "Say a percentage up to 100, or nothing.",
    away: offline !== "wait" ? (away.trim() ? durationProblem(away, "The time") : "Say after how long.") : undefined,
    tag: order === "tag" && !tag.trim() ? "Say which tag gives the order." : undefined,
    deadline: durationProblem(deadline, "The deadline"),
    begin: draft.days && !draft.begin ? "Say when the window opens." : undefined,
    end: draft.days && !draft.end ? "Say when the window closes." : undefined,
  };
  return Object.fromEntries(Object.entries(found).filter(([, text]) => text !== undefined));
}

/** The first step that something is missing at, or null. @param {Problems} problems @returns {Step | null} */
export const firstOpen = (problems) => STEPS.find((step) => FIELDS[step].some((field) => problems[field])) ?? null;

/** @param {Problems} problems @param {Step} step @returns {Problems} those of one step */
export const problemsAt = (problems, step) =>
  Object.fromEntries(Object.entries(problems).filter(([name]) => FIELDS[step].includes(/** @type {any} */ (name))));

/** @param {Draft} draft @returns {import("../api").DeploymentRequest} of a draft without problems */
export function requestOf(draft) {
  const { parallel, healthy, soak, deadline, offline, order, days } = draft;
  const seconds = (/** @type {string} */ text) => (text.trim() ? (parseDuration(text) ?? 0) : null);
  return {
    release: draft.release,
    targets: draft.by === "selector" ? { selector: draft.selector.trim() } : { device_ids: draft.ids },
    following: draft.by === "selector" && draft.following,
    strategy: {
      waves: wavesFrom(draft.waves),
      max_parallel: parallel.trim() ? Number(parallel) : null,
      failure_threshold: draft.fails.trim(),
      soak_s: seconds(soak) ?? 0,
      healthy_percent: healthy.trim() ? Number(healthy) : null,
      window: days
        ? {
            days: /** @type {any} */ (days.split(",").filter((day) => DAYS.includes(day))),
            begin: draft.begin,
            end: draft.end,
            zone: draft.zone.trim() || localZone(),
          }
        : null,
      order,
      order_tag: order === "tag" ? draft.tag.trim() : "",
      deadline_s: seconds(deadline),
      offline,
      ...(offline === "wait" ? {} : { offline_after_s: seconds(draft.away) ?? 0 }),
      on_failure: draft.onFailure,
    },
  };
}

/** The draft that a request was made from. @param {import("../api").DeploymentRequest} request @returns {Draft} */
export function draftFrom({ release, targets, following, strategy = {} }) {
  const { selector, device_ids } = /** @type {{ selector?: string, device_ids?: number[] }} */ (targets);
  const { waves = ["100%"], max_parallel, healthy_percent, window, offline, deadline_s } = strategy;
  const text = (/** @type {number | null | undefined} */ number) => (number ? String(number) : "");
  return {
    ...EMPTY,
    ...(selector
      ? { by: "selector", selector, following: following ?? false }
      : { by: "devices", ids: device_ids ?? [] }),
    release,
    waves: waves.join(", "),
    parallel: text(max_parallel),
    fails: strategy.failure_threshold ?? EMPTY.fails,
    onFailure: strategy.on_failure ?? EMPTY.onFailure,
    soak: strategy.soak_s ? durationText(strategy.soak_s) : "",
    healthy: text(healthy_percent),
    offline: offline ?? EMPTY.offline,
    away: durationText(strategy.offline_after_s ?? 3600),
    order: strategy.order ?? EMPTY.order,
    tag: strategy.order_tag ?? "",
    deadline: deadline_s ? durationText(deadline_s) : "",
    ...(window ? { days: window.days.join(","), begin: window.begin, end: window.end, zone: window.zone } : {}),
  };
}

/** Where the reader is. */
export const localZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
