/** The summary of a deployment: each count is a filter of the devices below. */
import { AllFilter, Filter, Filters, Narrowed } from "../../components/Filters";
import { TARGET_ORDER, TARGET_STATES } from "./states";

/** @typedef {import("./states").TargetState} TargetState */
/** @typedef {{ state?: TargetState, wave?: number, attention?: boolean }} Filtered */

/** @param {{ deployment: import("./states").Deployment, filter: Filtered, onChange: (filter: Filtered) => void }} props */
export function TargetFilters({ deployment, filter, onChange }) {
  const { counts, total, attention } = deployment;
  const narrowed = filter.state !== undefined || filter.wave !== undefined || filter.attention;
  return (
    <Filters label="Filter the devices">
      <AllFilter total={total} pressed={!narrowed} onPress={() => onChange({})} />
      {attention > 0 && (
        <Filter
          data-rollout="failed"
          icon="quarantined"
          count={attention}
          word="to look at"
          meaning="They could not go back to what they had before."
          pressed={filter.attention ?? false}
          onPress={() => onChange(filter.attention ? {} : { attention: true })}
        />
      )}
      {TARGET_ORDER.filter((each) => counts[each] > 0 || each === filter.state).map((each) => (
        <Filter
          key={each}
          data-rollout={each}
          data-testid={`count-${each}`}
          icon={TARGET_STATES[each].icon}
          count={counts[each] ?? 0}
          word={TARGET_STATES[each].word.toLowerCase()}
          meaning={TARGET_STATES[each].meaning}
          pressed={filter.state === each}
          onPress={() => onChange({ ...filter, attention: undefined, state: filter.state === each ? undefined : each })}
        />
      ))}
      {filter.wave !== undefined && (
        <Narrowed
          words={`Wave ${filter.wave}`}
          label={`Of wave ${filter.wave} only: show all waves`}
          onPress={() => onChange({ ...filter, wave: undefined })}
        />
      )}
    </Filters>
  );
}
