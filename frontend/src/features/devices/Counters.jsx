/** How many devices are in each state, counted from the live rows; each number filters the list to exactly those. */
import { Skeleton } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { useLive, useLoaded } from "../../live";
import { formatCount } from "../../lib/text";
import { COUNTERS, STATES } from "./states";
import classes from "./Counters.module.css";

/** @param {{ view: import("./view").View, onChange: (change: Partial<import("./view").View>) => void }} props */
export function Counters({ view, onChange }) {
  const counts = useLive((state) => state.counts);
  const loaded = useLoaded();
  return (
    <div className={classes.counters} role="group" aria-label="Devices by state">
      {COUNTERS.map(({ name, facet }) => {
        const { word, icon, meaning } = STATES[name];
        const pressed = view[facet].length === 1 && view[facet][0] === name;
        return (
          <button
            key={name}
            type="button"
            className={classes.counter}
            data-state={name}
            data-testid={`counter-${name}`}
            data-zero={counts[name] === 0 || undefined}
            aria-pressed={pressed}
            title={meaning}
            onClick={() => onChange({ [facet]: pressed ? [] : [name] })}
          >
            <span className={classes.label}>
              <Icon name={icon} size={14} />
              {word}
            </span>
            {loaded ? (
              <span className={classes.number} data-testid={`count-${name}`}>
                {formatCount(counts[name])}
              </span>
            ) : (
              <span className={classes.number}>
                <Skeleton height={20} width={44} />
              </span>
            )}
          </button>
        );
      })}
    </div>
  );
}
