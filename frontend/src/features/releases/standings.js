/**
 * How a device stands to a release, in words; the states themselves are the server's.
 *
 * @typedef {import("./api").Schemas["Standing"]} Standing
 */

/** @type {Record<Standing, { word: string, icon: string, meaning: string }>} */
export const STANDINGS = {
  exact: { word: "Has it", icon: "trusted", meaning: "Exactly this version is there." },
  older: { word: "Older", icon: "clock", meaning: "An older version of it is there." },
  newer: { word: "Newer", icon: "right", meaning: "A newer version of it is there." },
  missing: {
    word: "None",
    icon: "close",
    meaning: "No version is there, as far as deployments and lists of packages say.",
  },
  unknown: { word: "Unknown", icon: "unknown", meaning: "Nobody can say; each device says why not." },
  unfit: { word: "Other platform", icon: "offline", meaning: "The release is not for its platform." },
};

export const STANDING_ORDER = /** @type {Standing[]} */ (Object.keys(STANDINGS));

/** @param {unknown} value @returns {Standing | undefined} */
export const standingOf = (value) => STANDING_ORDER.find((each) => each === value);
