/** Which of many failed, and why, grouped by the reason. */
import { CloseButton } from "@mantine/core";
import { listNames, plural } from "../../lib/text";
import classes from "./BulkFailures.module.css";

/** @param {{ failures: import("./bulk").Failure[], onClose: () => void }} props */
export function BulkFailures({ failures, onClose }) {
  if (failures.length === 0) return null;
  /** @type {Map<string, string[]>} */
  const reasons = new Map();
  for (const { device, problem } of failures) {
    const reason = problem.detail || problem.title;
    reasons.set(reason, [...(reasons.get(reason) ?? []), device.device_name]);
  }
  return (
    <div className={classes.box} role="alert">
      <div>
        <strong>{plural(failures.length, "device")} could not be changed.</strong>
        {[...reasons].map(([reason, names]) => (
          <p key={reason}>
            {listNames(names)}: {reason}
          </p>
        ))}
      </div>
      <CloseButton aria-label="Dismiss" onClick={onClose} />
    </div>
  );
}
