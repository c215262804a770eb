/** A task's state by colour and icon and word. */
import { Icon } from "../../components/Icon";
import { TASK_STATES } from "./states";
import classes from "./TaskMark.module.css";

/** @param {{ state: import("./states").TaskState }} props */
export function TaskMark({ state }) {
  const { word, icon, meaning } = TASK_STATES[state];
  return (
    <span className={classes.mark} data-task={state} title={meaning}>
      <Icon name={icon} size={14} />
      {word}
    </span>
  );
}
