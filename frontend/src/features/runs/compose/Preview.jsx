/** Before it runs: who is reached, who is offline, who is left out and why. */
import { useState } from "react";
import { Button, Skeleton, Stack } from "@mantine/core";
import { ProblemBox } from "../../../components/ProblemBox";
import { formatCount, plural } from "../../../lib/text";
import { StateMark } from "../../devices/StateMark";
import { Sentence } from "../Sentence";
import classes from "./Preview.module.css";

const LISTED = 8;

/** "This will run on 37 devices: 35 online, 2 get it when they return (expires after 1 d)." @param {import("../api").Preview} preview @param {string} expires */
export function previewWords({ total, online, offline }, expires) {
  if (total === 0) return "No device is reached.";
  const on = `This will run on ${plural(total, "device")}`;
  if (offline === 0) return `${on}, ${total === 1 ? "online" : "all online"}.`;
  const wait = `${offline === 1 ? "gets" : "get"} it on return (expires after ${expires})`;
  if (online === 0) return `${on}, ${total === 1 ? "offline: it" : "all offline: they"} ${wait}.`;
  return `${on}: ${formatCount(online)} online, ${formatCount(offline)} ${wait}.`;
}

/** @param {{ state: ReturnType<typeof import("./usePreview").usePreview>, expires: string }} props */
export function Preview({ state, expires }) {
  const { preview, error, behind, retry } = state;
  if (error && !behind) return <ProblemBox error={error} what="This cannot be run as it stands." onRetry={retry} />;
  if (!preview) {
    if (!behind) return <p className="muted">Say which devices; here you see whom that reaches.</p>;
    return (
      <Stack gap={8} role="status" aria-label="Looking whom it reaches">
        <Skeleton height={18} width="80%" />
        <Skeleton height={14} width="55%" />
        <Skeleton height={14} width="60%" />
      </Stack>
    );
  }
  const { devices, excluded, total, excluded_total, warnings } = preview;
  return (
    <div data-testid="preview" aria-busy={behind} className={classes.preview}>
      <p className={classes.words} role="status">
        {previewWords(preview, expires)}
      </p>
      {warnings.map((warning) => (
        <p key={warning} className={classes.warning}>
          <Sentence text={warning} />
        </p>
      ))}
      {total > 0 && (
        <Names label="Reached" total={total} rows={devices}>
          {(device) => (
            <>
              <span className="cut">{device.device_name}</span>
              <StateMark state={/** @type {any} */ (device.status)} />
            </>
          )}
        </Names>
      )}
      {excluded_total > 0 && (
        <Names label="Left out" total={excluded_total} rows={excluded}>
          {(device) => (
            <>
              <span className="cut">
                {device.device_name || (device.id === null ? "A device" : `Number ${device.id}`)}
              </span>
              <span className={classes.why}>{device.why}</span>
            </>
          )}
        </Names>
      )}
    </div>
  );
}

/**
 * @template {{ id: number | null }} T
 * @param {{ label: string, total: number, rows: T[], children: (row: T) => import("react").ReactNode }} props
 */
function Names({ label, total, rows, children }) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? rows : rows.slice(0, LISTED);
  return (
    <section aria-label={label} className={classes.names} data-testid={label === "Reached" ? "reached" : "left-out"}>
      <h3 className={classes.label}>
        {label} <span className="muted">{formatCount(total)}</span>
      </h3>
      <ul className={classes.list} data-whole={whole || undefined}>
        {shown.map((row, index) => (
          <li key={row.id ?? `at ${index}`} className={classes.row}>
            {children(row)}
          </li>
        ))}
      </ul>
      {rows.length > shown.length && (
        <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
          Show {rows.length === total ? `all ${formatCount(total)}` : `the first ${formatCount(rows.length)}`}
        </Button>
      )}
    </section>
  );
}
