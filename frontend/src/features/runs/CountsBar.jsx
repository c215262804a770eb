/** How a run's tasks are: one bar, each state as wide as its share. */
import { TASK_STATES, countWords, statesOf } from "./states";
import { formatCount } from "../../lib/text";
import classes from "./CountsBar.module.css";

/** @param {{ run: import("../../live/runs").Run }} props */
export function CountsBar({ run }) {
  return (
    <div className={classes.bar} role="img" aria-label={countWords(run.counts) || "No devices"}>
      {statesOf(run.counts).map((state) => (
        <span
          key={state}
          className={classes.part}
          data-task={state}
          style={{ flexGrow: run.counts[state] }}
          title={`${formatCount(run.counts[state])} ${TASK_STATES[state].word.toLowerCase()}`}
        />
      ))}
    </div>
  );
}
