/** What came of a time: always icon and word, as a state is shown everywhere. */
import { Icon } from "../../components/Icon";
import { FIRINGS } from "./words";
import classes from "./Schedules.module.css";

/** @param {{ state: import("./api").Firing["state"] }} props */
export function FiringMark({ state }) {
  const { word, icon, color } = FIRINGS[state];
  return (
    <span className={classes.mark} data-firing={state}>
      <span style={{ color }}>
        <Icon name={icon} size={14} />
      </span>
      {word}
    </span>
  );
}
