/** The summary of a deployment: each count is a filter of the devices below. */
import { Icon } from "../../components/Icon";
import { formatCount } from "../../lib/text";
import { TARGET_ORDER, TARGET_STATES } from "./states";
import classes from "./TargetFilters.module.css";

/** @typedef {import("./states").TargetState} TargetState */
/** @typedef {{ state?: TargetState, wave?: number, attention?: boolean }} Filter */

/** @param {{ deployment: import("./states").Deployment, filter: Filter, onChange: (filter: Filter) => void }} props */
export function TargetFilters({ deployment, filter, onChange }) {
  const { counts, total, attention } = deployment;
  const narrowed = filter.state !== undefined || filter.wave !== undefined || filter.attention;
  return (
    <div className={classes.filters} role="group" aria-label="Filter the devices">
      <button type="button" className={classes.filter} aria-pressed={!narrowed} onClick={() => onChange({})}>
        <b>{formatCount(total)}</b> {total === 1 ? "device" : "devices"}
      </button>
      {attention > 0 && (
        <button
          type="button"
          className={classes.filter}
          data-rollout="failed"
          aria-pressed={filter.attention ?? false}
          title="They could not go back to what they had before."
          onClick={() => onChange(filter.attention ? {} : { attention: true })}
        >
          <span className={classes.word}>
            <Icon name="quarantined" size={14} />
          </span>
          <b>{formatCount(attention)}</b> to look at
        </button>
      )}
      {TARGET_ORDER.filter((each) => counts[each] > 0 || each === filter.state).map((each) => (
        <button
          key={each}
          type="button"
          className={classes.filter}
          data-rollout={each}
          data-testid={`count-${each}`}
          aria-pressed={filter.state === each}
          title={TARGET_STATES[each].meaning}
          onClick={() => onChange({ ...filter, attention: undefined, state: filter.state === each ? undefined : each })}
        >
          <span className={classes.word}>
            <Icon name={TARGET_STATES[each].icon} size={14} />
          </span>
          <b>{formatCount(counts[each] ?? 0)}</b> {TARGET_STATES[each].word.toLowerCase()}
        </button>
      ))}
      {filter.wave !== undefined && (
        <button
          type="button"
          className={classes.filter}
          aria-pressed="true"
          aria-label={`Of wave ${filter.wave} only: show all waves`}
          onClick={() => onChange({ ...filter, wave: undefined })}
        >
          Wave {filter.wave} <Icon name="close" size={12} />
        </button>
      )}
    </div>
  );
}
