/** The words for what a release consists of, and for who signed it. */
import { formatCount, plural } from "../../lib/text";

/** @type {Record<import("./api").Release["kind"], { word: string, meaning: string }>} */
export const KINDS = {
  agent: {
    word: "Agent",
    meaning: "The agent itself becomes this version, and is the old one again unless it registers.",
  },
  archive: { word: "Archive", meaning: "It is unpacked beside the version that runs, then takes its place at once." },
  file: { word: "File", meaning: "One file, put in its place at once." },
  package: { word: "Package", meaning: "A package of the machine's own package manager." },
  script: { word: "Script", meaning: "Programs that install it, and say whether it is there." },
};

/** @param {import("./api").Release["signers"][number]} signer */
export const signerName = ({ name, key_id }) => name || `key ${key_id}`;

/** "signed by ada and bea", "2 signatures of unknown keys", "not signed". @param {import("./api").Release} release */
export function signedWords({ signers }) {
  if (signers.length === 0) return "not signed";
  const named = signers.filter(({ name }) => name).map(signerName);
  const unknown = signers.length - named.length;
  if (named.length === 0) return `${plural(unknown, "signature")} of unknown ${unknown === 1 ? "key" : "keys"}`;
  return `signed by ${named.join(", ")}${unknown > 0 ? ` and ${formatCount(unknown)} more` : ""}`;
}
