/**
 * What is typed into the run box, and the request that it is. Pure. A problem names the field and says what to do; what
 * only the server can know (a selector, a limit of its own) is the server's to refuse.
 *
 * @typedef {"command" | "shell" | "script"} Kind
 * @typedef {object} Draft
 * @property {Kind} kind
 * @property {string} command a line of words
 * @property {string} shell
 * @property {string} script
 * @property {string} interpreter a line of words; empty: what the script's first line says
 * @property {string} args a line of words, for the script
 * @property {"selector" | "devices"} by
 * @property {string} selector
 * @property {number[]} ids
 * @property {string} user
 * @property {string} cwd
 * @property {string} env a NAME=value on each line
 * @property {string} timeout
 * @property {string} expires
 * @property {string} maxParallel
 * @property {string} quotaMiB
 *
 * @typedef {Partial<Record<keyof Draft, string>>} Problems
 * @typedef {import("../api").Command} Command
 */
import { durationText, parseDuration } from "./durations";
import { joinWords, splitWords } from "./words";

const DAY_S = 86_400;
const TIMEOUT_MOST_S = 7 * DAY_S;
const EXPIRES_MOST_S = 30 * DAY_S;
const MIB = 1 << 20;
const QUOTA_MOST_MIB = 1024;
const ABSOLUTE = /^(\/|[A-Za-z]:[\\/]|\\\\)/;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_.()-]*$/;

/** @type {Draft} */
export const EMPTY = {
  kind: "command",
  command: "",
  shell: "",
  script: "",
  interpreter: "",
  args: "",
  by: "selector",
  selector: "",
  ids: [],
  user: "",
  cwd: "",
  env: "",
  timeout: "1 h",
  expires: "1 d",
  maxParallel: "",
  quotaMiB: "",
};

/** The fields behind "Advanced". */
export const ADVANCED = /** @type {const} */ (["user", "cwd", "env", "timeout", "expires", "maxParallel", "quotaMiB"]);

/** @param {Draft} draft whether something behind "Advanced" is not as it was */
export const isAdvanced = (draft) => ADVANCED.some((field) => draft[field] !== EMPTY[field]);

/** @param {string} text @returns {{ env: Record<string, string>, problem: string | null }} */
export function parseEnv(text) {
  /** @type {Record<string, string>} */
  const env = {};
  for (const line of text.split("\n")) {
    if (!line.trim()) continue;
    const at = line.indexOf("=");
    const name = line.slice(0, at).trim();
    if (at < 0) return { env, problem: `Write NAME=value: there is no = in “${line.trim()}”.` };
    if (!ENV_NAME.test(name)) return { env, problem: `“${name}” cannot be the name of a variable.` };
    if (name in env) return { env, problem: `${name} stands there twice.` };
    env[name] = line.slice(at + 1);
  }
  return { env, problem: null };
}

/** @param {string} text @param {number} most @returns {number | null | undefined} undefined: not a number from 1 to most */
function parseCount(text, most) {
  if (!text.trim()) return null;
  const count = Number(text.trim());
  return Number.isInteger(count) && count >= 1 && count <= most ? count : undefined;
}

/** @param {Draft} draft @returns {{ what: Pick<Command, "command" | "shell" | "script" | "interpreter" | "args">, problems: Problems }} */
function whatOf(draft) {
  if (draft.kind === "shell") {
    return {
      what: { shell: draft.shell },
      problems: draft.shell.trim() ? {} : { shell: "Type a line for the shell." },
    };
  }
  if (draft.kind === "command") {
    const { words, problem } = splitWords(draft.command);
    if (problem) return { what: {}, problems: { command: problem } };
    return { what: { command: words }, problems: words.length ? {} : { command: "Type a program and its arguments." } };
  }
  const interpreter = splitWords(draft.interpreter);
  const args = splitWords(draft.args);
  /** @type {Problems} */
  const problems = {};
  if (interpreter.problem) problems.interpreter = interpreter.problem;
  else if (interpreter.words.length === 0 && !draft.script.startsWith("#!"))
    problems.interpreter = "Name an interpreter, or begin the script with #!.";
  if (args.problem) problems.args = args.problem;
  if (!draft.script.trim()) problems.script = "Type or paste a script.";
  return { what: { script: draft.script, interpreter: interpreter.words, args: args.words }, problems };
}

/** What to run and how, without the devices. @param {Draft} draft @returns {{ command: Command, problems: Problems }} */
export function commandOf(draft) {
  const { what, problems } = whatOf(draft);
  const env = parseEnv(draft.env);
  const timeout = parseDuration(draft.timeout);
  const expires = parseDuration(draft.expires);
  const maxParallel = parseCount(draft.maxParallel, 1_000_000);
  const quota = parseCount(draft.quotaMiB, QUOTA_MOST_MIB);
  if (env.problem) problems.env = env.problem;
  if (draft.cwd.trim() && !ABSOLUTE.test(draft.cwd.trim()))
    problems.cwd = "An absolute path, such as /srv or C:\\data.";
  if (timeout === null || timeout < 1 || timeout > TIMEOUT_MOST_S)
    problems.timeout = "Between 1 s and 7 d, such as 30 s, 5 min or 2 h.";
  if (expires === null || expires < 1 || expires > EXPIRES_MOST_S)
    problems.expires = "Between 1 s and 30 d, such as 30 min, 12 h or 1 d.";
  if (maxParallel === undefined) problems.maxParallel = "A whole number from 1, or nothing for all at once.";
  if (quota === undefined) problems.quotaMiB = `A whole number from 1 to ${QUOTA_MOST_MIB}, or nothing.`;
  const command = {
    ...what,
    user: draft.user.trim(),
    cwd: draft.cwd.trim(),
    env: env.env,
    timeout_s: timeout ?? 0,
    expires_s: expires ?? 0,
    max_parallel: maxParallel ?? null,
    output_quota_bytes: quota ? quota * MIB : null,
  };
  return { command, problems };
}

/** @param {Draft} draft @returns {import("../api").RunRequest["targets"] | null} null: none are named yet */
export function targetsOf(draft) {
  if (draft.by === "devices") return draft.ids.length ? { device_ids: draft.ids } : null;
  const selector = draft.selector.trim();
  return selector ? { selector } : null;
}

/** @param {Draft} draft @returns {{ request: import("../api").RunRequest | null, problems: Problems }} */
export function requestOf(draft) {
  const { command, problems } = commandOf(draft);
  const targets = targetsOf(draft);
  if (!targets && draft.by === "selector") problems.selector = "Say which devices: * means all.";
  if (!targets && draft.by === "devices") problems.ids = "Pick at least one device.";
  return { request: targets && Object.keys(problems).length === 0 ? { ...command, targets } : null, problems };
}

/** The draft that a command was made from, for saved commands and for running again. @param {Command} command @returns {Partial<Draft>} */
export function draftOf(command) {
  const { max_parallel, output_quota_bytes, timeout_s, expires_s } = command;
  return {
    kind: typeof command.script === "string" ? "script" : typeof command.shell === "string" ? "shell" : "command",
    command: command.command ? joinWords(command.command) : "",
    shell: command.shell ?? "",
    script: command.script ?? "",
    interpreter: joinWords(command.interpreter ?? []),
    args: joinWords(command.args ?? []),
    user: command.user ?? "",
    cwd: command.cwd ?? "",
    env: Object.entries(command.env ?? {})
      .map(([name, value]) => `${name}=${value}`)
      .join("\n"),
    timeout: timeout_s ? durationText(timeout_s) : EMPTY.timeout,
    expires: expires_s ? durationText(expires_s) : EMPTY.expires,
    maxParallel: max_parallel ? String(max_parallel) : "",
    quotaMiB: output_quota_bytes ? String(Math.max(1, Math.round(output_quota_bytes / MIB))) : "",
  };
}
