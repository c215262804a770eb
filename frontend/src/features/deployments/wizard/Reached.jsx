/** Whom a deployment would reach, and whom not and why. */
import { useState } from "react";
import { Button, Skeleton, Stack } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../../components/ProblemBox";
import { formatCount, plural } from "../../../lib/text";
import { StateMark } from "../../devices/StateMark";
import { Sentence } from "../../runs/Sentence";
import classes from "./Wizard.module.css";

const LISTED = 10;

/** @param {import("../api").Preview} preview */
export function reachWords({ total, online, offline }) {
  if (total === 0) return "It reaches no device.";
  if (offline === 0) return `It reaches ${plural(total, "device")}, ${total === 1 ? "online" : "all online"}.`;
  return `It reaches ${plural(total, "device")}: ${formatCount(online)} online, ${formatCount(offline)} offline.`;
}

/** @param {{ state: import("./usePreview").PreviewState }} props */
export function Reached({ state }) {
  const { preview, error, behind, retry } = state;
  if (error && !behind)
    return <ProblemBox error={error} what="This cannot be deployed as it stands." onRetry={retry} />;
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
  return (
    <div className={classes.reached} data-testid="preview" aria-busy={behind}>
      <p className={classes.words} role="status">
        {reachWords(preview)}
      </p>
      <Warnings preview={preview} />
      {preview.total > 0 && <PlannedTable preview={preview} />}
      <LeftOut preview={preview} />
    </div>
  );
}

/** @param {{ preview: import("../api").Preview }} props */
export const Warnings = ({ preview }) =>
  preview.warnings.map((warning) => (
    <p key={warning} className={classes.warning}>
      <Sentence text={warning} />
    </p>
  ));

/** Who gets it, in the order of their turns. @param {{ preview: import("../api").Preview }} props */
export function PlannedTable({ preview: { devices, total, waves } }) {
  return (
    <Table
      label="Gets it"
      total={total}
      rows={devices}
      columns={waves.length > 1 ? ["Device", "Wave", "Now"] : ["Device", "Now"]}
    >
      {(device) => [
        <Link key="name" to="/devices/$deviceId" params={{ deviceId: String(device.id) }} className="cut">
          {device.device_name}
        </Link>,
        ...(waves.length > 1 ? [device.wave] : []),
        <StateMark key="now" state={/** @type {any} */ (device.status)} />,
      ]}
    </Table>
  );
}

/** Who does not, and why. @param {{ preview: import("../api").Preview }} props */
export function LeftOut({ preview: { excluded, excluded_total } }) {
  if (excluded_total === 0) return null;
  return (
    <Table label="Left out" total={excluded_total} rows={excluded} columns={["Device", "Why"]} testId="left-out">
      {(device) => [
        device.device_name || (device.id === null ? "A device" : `Number ${device.id}`),
        <Sentence key="why" text={device.why} />,
      ]}
    </Table>
  );
}

/**
 * @template {{ id: number | null }} T
 * @param {{ label: string, total: number, rows: T[], columns: string[], testId?: string, children: (row: T) => import("react").ReactNode[] }} props
 */
function Table({ label, total, rows, columns, testId, children }) {
  const [whole, setWhole] = useState(false);
  const shown = whole ? rows : rows.slice(0, LISTED);
  return (
    <section className={classes.listed} aria-label={label} data-testid={testId}>
      <h2 className={classes.label}>
        {label} <span className="muted">{formatCount(total)}</span>
      </h2>
      <table className={classes.table}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row, index) => (
            <tr key={row.id ?? `at ${index}`}>
              {children(row).map((cell, at) => (
                <td key={columns[at]}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown.length && (
        <Button size="compact-xs" variant="default" onClick={() => setWhole(true)}>
          Show {rows.length === total ? `all ${formatCount(total)}` : `the first ${formatCount(rows.length)}`}
        </Button>
      )}
      {whole && rows.length < total && (
        <p className="muted">
          And {formatCount(total - rows.length)} more, which the deployment&apos;s page lists when it has started.
        </p>
      )}
    </section>
  );
}
