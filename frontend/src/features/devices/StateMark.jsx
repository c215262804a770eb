/** A state by colour and icon and word. */
import { Icon } from "../../components/Icon";
import { STATES } from "./states";
import classes from "./StateMark.module.css";

/** @param {{ state: import("./states").StateName, framed?: boolean }} props */
export function StateMark({ state, framed = false }) {
  const { word, icon, meaning } = STATES[state];
  return (
    <span className={framed ? classes.framed : classes.mark} data-state={state} title={meaning}>
      <Icon name={icon} size={14} />
      {word}
    </span>
  );
}
