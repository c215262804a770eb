/** All that was asked for. The values of the environment are secrets for all we know: the server does not tell them. */
import { formatBytes, plural } from "../../lib/text";
import { duration } from "../../lib/time";
import { joinWords } from "./compose/words";
import classes from "./RunHeader.module.css";

/** @param {{ run: import("./api").RunDetail }} props */
export function RunRequest({ run }) {
  const text = run.script ?? run.shell ?? joinWords(run.command ?? []);
  /** @type {[string, string][]} */
  const facts = [
    ["Interpreter", joinWords(run.interpreter)],
    ["Arguments", joinWords(run.args)],
    ["User", run.user],
    ["Folder", run.cwd],
    ["Environment", run.env_names.join(", ")],
    ["Time-out", duration(run.timeout_s)],
    ["Expiry", duration(run.expires_s)],
    ["At once", run.max_parallel ? plural(run.max_parallel, "device") : ""],
    ["Output kept", formatBytes(run.output_quota_bytes)],
  ];
  return (
    <div className={classes.request} data-testid="run-request">
      <pre className={classes.source}>{text}</pre>
      <dl className={classes.facts}>
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name} className={classes.fact}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </div>
  );
}
