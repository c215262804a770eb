/**
 * A simple release as it is typed, and the manifest that it is. Pure. A problem names the field and says what to do; what
 * a device could not obey is the server's to refuse, with the place in the manifest.
 *
 * @typedef {"file" | "archive" | "package" | "script"} Kind
 * @typedef {{ name: string, size: number, sha256: string }} Sent
 * @typedef {object} Draft
 * @property {Kind} kind
 * @property {string} name
 * @property {string} version
 * @property {string} description
 * @property {string[]} platforms
 * @property {Sent | null} artifact
 * @property {string} path where the file goes
 * @property {string} mode
 * @property {string} owner
 * @property {string} into the folder that the archive becomes
 * @property {string} strip
 * @property {string} package
 * @property {"present" | "absent" | "version" | "latest"} state
 * @property {string} packageVersion
 * @property {string} install a line for the shell
 * @property {string} detect a line for the shell
 * @property {string} uninstall a line for the shell
 * @property {string} health a line for the shell
 * @property {string} within
 * @property {string} successes
 * @property {string} confirm a duration; empty: it is not commit-confirmed
 * @property {"never" | "if_needed" | "always"} reboot
 * @property {boolean} goesBack whether the newest release of the name is what a device goes back to
 *
 * @typedef {Partial<Record<keyof Draft, string>>} Problems
 * @typedef {{ version: string, number: number, sha256: string, size: number }} Before the newest release of the name
 */
import { parseDuration } from "../runs/compose/durations";

/** @type {Draft} */
export const EMPTY = {
  kind: "archive",
  name: "",
  version: "",
  description: "",
  platforms: ["linux"],
  artifact: null,
  path: "",
  mode: "0644",
  owner: "",
  into: "",
  strip: "0",
  package: "",
  state: "latest",
  packageVersion: "",
  install: "",
  detect: "",
  uninstall: "",
  health: "",
  within: "1 min",
  successes: "1",
  confirm: "",
  reboot: "never",
  goesBack: true,
};

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+~:_-]{0,63}$/;
const ABSOLUTE = /^(\/|[A-Za-z]:[\\/])/;
/** What an artifact may be called. */
const ARTIFACT = /[^A-Za-z0-9._+-]+/g;

/** @param {string} text @param {string} what */
const durationProblem = (text, what) =>
  parseDuration(text) === null ? `${what} is a duration, such as 30 s or 5 min.` : undefined;

/** @param {Draft} draft @returns {Problems} */
export function problemsOf(draft) {
  const { kind, artifact, name, version, platforms, install, detect, health, within, successes, confirm } = draft;
  const withFile = kind === "file" || kind === "archive";
  /** @type {Problems} */
  const found = {
    name: NAME.test(name) ? undefined : "A name has lower case letters, digits and . _ - only, such as shop.",
    version: VERSION.test(version) ? undefined : "A version has letters, digits and . + ~ : _ - only, such as 1.4.2.",
    platforms: platforms.length > 0 ? undefined : "Say at least one platform.",
    artifact: !withFile || artifact ? undefined : "Take the file first, and let it arrive.",
    path: kind !== "file" || ABSOLUTE.test(draft.path) ? undefined : "Say where the file goes, with the whole path.",
    mode: kind !== "file" || /^0?[0-7]{3}$/.test(draft.mode) ? undefined : "A mode is three digits, such as 0644.",
    into: kind !== "archive" || ABSOLUTE.test(draft.into) ? undefined : "Say the folder, with the whole path.",
    strip: kind !== "archive" || /^[0-8]$/.test(draft.strip) ? undefined : "Say how many, from 0 to 8.",
    package: kind !== "package" || draft.package.trim() ? undefined : "Say the package's name.",
    packageVersion:
      kind !== "package" || draft.state !== "version" || draft.packageVersion.trim() ? undefined : "Say which version.",
    install: kind !== "script" || install.trim() ? undefined : "Say what installs it.",
    detect: kind !== "script" || detect.trim() ? undefined : "Say what succeeds when it is there already.",
    within: health.trim() ? durationProblem(within, "It") : undefined,
    successes: !health.trim() || /^[1-9]\d?$|^100$/.test(successes) ? undefined : "Say how often, from 1 to 100.",
    confirm: confirm.trim() ? durationProblem(confirm, "The time") : undefined,
  };
  return Object.fromEntries(Object.entries(found).filter(([, text]) => text !== undefined));
}

/** @param {string} line @returns {{ shell: string } | undefined} */
const step = (line) => (line.trim() ? { shell: line.trim() } : undefined);

/**
 * The manifest of a draft without problems, as the JSON that is signed and sent: keys in their order, nothing that is not
 * set.
 *
 * @param {Draft} draft
 * @param {Before | null} before
 */
export function payloadOf(draft, before) {
  const { kind, artifact, name, version, platforms, description, health, confirm, reboot } = draft;
  const withFile = (kind === "file" || kind === "archive") && artifact;
  const called = withFile ? artifactName(artifact.name) : "";
  const manifest = {
    name,
    version,
    number: (before?.number ?? 0) + 1,
    kind,
    platforms,
    description: description.trim() || undefined,
    artifacts: withFile ? [{ name: called, sha256: artifact.sha256, size: artifact.size }] : undefined,
    archive: kind === "archive" ? { artifact: called, into: draft.into.trim(), strip: Number(draft.strip) } : undefined,
    file:
      kind === "file"
        ? { artifact: called, path: draft.path.trim(), mode: draft.mode, owner: draft.owner.trim() }
        : undefined,
    package:
      kind === "package"
        ? {
            name: draft.package.trim(),
            state: draft.state,
            version: draft.state === "version" ? draft.packageVersion.trim() : "",
          }
        : undefined,
    install: step(draft.install),
    detect: step(draft.detect),
    uninstall: step(draft.uninstall),
    health: health.trim()
      ? { check: step(health), within_s: parseDuration(draft.within), successes: Number(draft.successes) }
      : undefined,
    confirm_s: confirm.trim() ? parseDuration(confirm) : undefined,
    reboot,
    previous:
      before && draft.goesBack ? { version: before.version, sha256: before.sha256, size: before.size } : undefined,
  };
  return JSON.stringify(sorted(manifest));
}

/** @param {string} fileName */
export const artifactName = (fileName) =>
  fileName
    .replace(ARTIFACT, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 128) || "file";

/** @param {any} value @returns {any} the same with its keys in order */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}
