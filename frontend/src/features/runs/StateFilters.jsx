/** The summary of a run: each count is a filter of the list below. */
import { AllFilter, Filter, Filters } from "../../components/Filters";
import { STATE_ORDER, TASK_STATES } from "./states";

/** @typedef {import("./states").TaskState} TaskState */

/** @param {{ run: import("../../live/runs").Run, state: TaskState | undefined, onChange: (state: TaskState | undefined) => void }} props */
export function StateFilters({ run, state, onChange }) {
  return (
    <Filters label="Filter by state">
      <AllFilter total={run.total} pressed={!state} onPress={() => onChange(undefined)} />
      {STATE_ORDER.filter((each) => run.counts[each] > 0 || each === state).map((each) => (
        <Filter
          key={each}
          data-task={each}
          data-testid={`count-${each}`}
          icon={TASK_STATES[each].icon}
          count={run.counts[each] ?? 0}
          word={TASK_STATES[each].word.toLowerCase()}
          meaning={TASK_STATES[each].meaning}
          pressed={state === each}
          onPress={() => onChange(state === each ? undefined : each)}
        />
      ))}
    </Filters>
  );
}
