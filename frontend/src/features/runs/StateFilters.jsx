/** The summary of a run: each count is a filter of the list below. */
import { Icon } from "../../components/Icon";
import { formatCount } from "../../lib/text";
import { STATE_ORDER, TASK_STATES } from "./states";
import classes from "./StateFilters.module.css";

/** @typedef {import("./states").TaskState} TaskState */

/** @param {{ run: import("../../live/runs").Run, state: TaskState | undefined, onChange: (state: TaskState | undefined) => void }} props */
export function StateFilters({ run, state, onChange }) {
  const shown = STATE_ORDER.filter((each) => run.counts[each] > 0 || each === state);
  return (
    <div className={classes.filters} role="group" aria-label="Filter by state">
      <button type="button" className={classes.filter} aria-pressed={!state} onClick={() => onChange(undefined)}>
        <b>{formatCount(run.total)}</b> {run.total === 1 ? "device" : "devices"}
      </button>
      {shown.map((each) => (
        <button
          key={each}
          type="button"
          className={classes.filter}
          data-task={each}
          data-testid={`count-${each}`}
          aria-pressed={state === each}
          title={TASK_STATES[each].meaning}
          onClick={() => onChange(state === each ? undefined : each)}
        >
          <span className={classes.word}>
            <Icon name={TASK_STATES[each].icon} size={14} />
          </span>
          <b>{formatCount(run.counts[each] ?? 0)}</b> {TASK_STATES[each].word.toLowerCase()}
        </button>
      ))}
    </div>
  );
}
