/** What is about to happen, in plain sentences. Pure. */
import { formatCount, listNames, plural } from "../../../lib/text";
import { duration } from "../../../lib/time";
import { thresholdWords, windowWords } from "../strategyWords";
import { requestOf } from "./draft";

/** @param {number[]} counts "1, 9, 40 and 45" */
const numbers = (counts) => listNames(counts.map(formatCount), counts.length);

/** "This installs shop 1.4.2 on 95 devices in 4 waves: 1, 9, 38 and 47." @param {import("../api").Preview} preview */
export function installWords({ release, total, waves }) {
  const what = `This installs ${release.name} ${release.version} on ${plural(total, "device")}`;
  if (waves.length === 1) return `${what}, ${total === 1 ? "at once" : "all in one wave"}.`;
  return `${what} in ${plural(waves.length, "wave")}: ${numbers(waves.map(({ total }) => total))}.`;
}

/** What happens between, after and instead. @param {import("./draft").Draft} draft @param {import("../api").Preview} preview */
export function courseWords(draft, preview) {
  const { strategy, following } = requestOf(draft);
  const {
    soak_s = 0,
    healthy_percent,
    max_parallel,
    window,
    deadline_s,
    offline,
    offline_after_s = 0,
  } = strategy ?? {};
  const manyWaves = preview.waves.length > 1;
  const gate = healthy_percent
    ? `${formatCount(healthy_percent)} % of a wave have it, healthy`
    : "all of a wave are over";
  const away = plural(preview.offline, "device is offline", "devices are offline");
  const get = preview.offline === 1 ? "it gets it when it is back" : "they get it when they are back";
  return [
    manyWaves && `The next wave opens when ${gate}${soak_s ? `, and that for ${duration(soak_s)}` : ""}.`,
    max_parallel && max_parallel < preview.total && `At most ${plural(max_parallel, "device")} at once.`,
    `It ${draft.onFailure === "pause" ? "pauses" : "rolls everything back"} as soon as ${thresholdWords(draft.fails.trim())}.`,
    preview.offline > 0 &&
      (offline === "wait"
        ? `${away}: ${get}.`
        : `${away}: whoever is still away ${duration(offline_after_s)} after its turn ${offline === "skip" ? "is left out" : "counts as failed"}.`),
    window && `Something starts only ${windowWords(/** @type {any} */ (window))}.`,
    deadline_s && `Nothing starts later than ${duration(deadline_s)} from now.`,
    following && "Devices that meet the selector later get it as well.",
  ]
    .filter(Boolean)
    .join(" ");
}
