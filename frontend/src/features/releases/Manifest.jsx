/** What a release says, readable: what it consists of, what it runs, how it is checked and undone. */
import { formatBytes, formatCount, plural } from "../../lib/text";
import { duration } from "../../lib/time";
import { joinWords } from "../runs/compose/words";
import { contentUrl } from "./api";
import { KINDS } from "./kinds";
import classes from "./Release.module.css";

/** @typedef {Record<string, any>} Manifest */

/** What a step runs, as one would type it. @param {Manifest} step */
export function stepText({ command, shell, artifact, interpreter, args }) {
  if (shell) return shell;
  if (command) return joinWords(command);
  return joinWords([...(interpreter ?? []), artifact, ...(args ?? [])]);
}

/** @type {Record<string, string>} */
const REBOOTS = { never: "never", if_needed: "when the system says that it needs it", always: "always" };
/** @type {Record<string, string>} */
const PACKAGE_STATES = {
  present: "any version",
  absent: "is removed",
  latest: "the newest that its repositories have",
};

/** @param {Manifest} manifest @returns {[string, string][]} */
function kindFacts({ agent, archive, file, package: wanted }) {
  if (agent) return [["Version", agent.version]];
  if (archive)
    return [
      ["Archive", archive.artifact],
      [
        "Becomes",
        `${archive.into}${archive.strip > 0 ? ` (without the first ${plural(archive.strip, "folder")} of each name)` : ""}`,
      ],
    ];
  if (file)
    return [
      ["File", file.artifact],
      ["Becomes", `${file.path} (${file.mode}${file.owner ? `, ${file.owner}` : ""})`],
    ];
  if (wanted) return [["Package", `${wanted.name}: ${wanted.version || PACKAGE_STATES[wanted.state] || wanted.state}`]];
  return [];
}

/** @param {{ release: import("./api").ReleaseDetail }} props */
export function Manifest({ release }) {
  const manifest = /** @type {Manifest} */ (release.manifest);
  const { health, confirm_s, previous } = manifest;
  /** @type {[string, import("react").ReactNode][]} */
  const facts = [
    [
      "Kind",
      `${KINDS[release.kind].word}: ${KINDS[release.kind].meaning.charAt(0).toLowerCase()}${KINDS[release.kind].meaning.slice(1)}`,
    ],
    ["Platforms", release.platforms.join(", ")],
    ...kindFacts(manifest),
    ["Restart", REBOOTS[manifest.reboot] ?? manifest.reboot],
    [
      "Goes back to",
      previous
        ? previous.version
        : manifest.kind === "script"
          ? "nothing: what was there before is not known"
          : "what was there before",
    ],
    [
      "Confirmed",
      confirm_s ? `The device undoes it by itself unless a server answers within ${duration(confirm_s)}.` : "no",
    ],
    ["Time-out", duration(manifest.timeout_s)],
    ["Number", formatCount(release.number)],
  ];
  return (
    <>
      <dl className={classes.facts}>
        {facts.map(([name, value]) => (
          <div key={name} className={classes.fact}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Step
        name="Install"
        what={manifest.archive || manifest.file || manifest.package ? "after the files are in their place" : ""}
        step={manifest.install}
      />
      <Step name="Detect" what="succeeds when this version is there" step={manifest.detect} />
      <Step
        name="Health"
        what={
          health &&
          `has to succeed ${health.successes > 1 ? `${formatCount(health.successes)} times in a row, ` : ""}within ${duration(health.within_s)}, tried every ${duration(health.interval_s)}`
        }
        step={health?.check}
      />
      <Step name="Uninstall" what="" step={manifest.uninstall} />
    </>
  );
}

/** @param {{ name: string, what: string, step: Manifest | null | undefined }} props */
function Step({ name, what, step }) {
  if (!step) return null;
  return (
    <div className={classes.stepBox}>
      <h3 className={classes.stepName}>
        {name} {what && <span className="muted">{what}</span>}
      </h3>
      <pre className={classes.source}>{stepText(step)}</pre>
    </div>
  );
}

/** @param {{ release: import("./api").ReleaseDetail }} props */
export function Artifacts({ release }) {
  const artifacts = /** @type {{ name: string, size: number, sha256: string }[]} */ (release.manifest.artifacts ?? []);
  if (artifacts.length === 0) return <p className={classes.meta}>It brings no file along.</p>;
  return (
    <ul className={classes.artifacts} data-testid="artifacts">
      {artifacts.map(({ name, size, sha256 }) => (
        <li key={name} className={classes.artifact}>
          <a href={contentUrl(sha256)} download={name}>
            {name}
          </a>
          <span>{formatBytes(size)}</span>
          <span className={`mono ${classes.hash}`}>{sha256}</span>
        </li>
      ))}
    </ul>
  );
}
