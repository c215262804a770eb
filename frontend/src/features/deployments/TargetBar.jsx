/** How devices are: one bar, each state as wide as its share. */
import { formatCount } from "../../lib/text";
import { TARGET_STATES, countWords, statesOf } from "./states";
import classes from "./TargetBar.module.css";

/** @param {{ counts: import("./states").Deployment["counts"], thick?: boolean }} props */
export function TargetBar({ counts, thick = false }) {
  return (
    <div
      className={classes.bar}
      role="img"
      aria-label={countWords(counts) || "No devices"}
      data-thick={thick || undefined}
    >
      {statesOf(counts).map((state) => (
        <span
          key={state}
          className={classes.part}
          data-rollout={state}
          style={{ flexGrow: counts[state] }}
          title={`${formatCount(counts[state])} ${TARGET_STATES[state].word.toLowerCase()}`}
        />
      ))}
    </div>
  );
}
