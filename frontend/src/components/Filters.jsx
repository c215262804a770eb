/** A summary whose counts are filters of the list below it: the whole first, then each state that there is. */
import { formatCount, plural } from "../lib/text";
import { Icon } from "./Icon";
import classes from "./Filters.module.css";

/** @param {{ label: string, children: import("react").ReactNode }} props */
export const Filters = ({ label, children }) => (
  <div className={classes.filters} role="group" aria-label={label}>
    {children}
  </div>
);

/** @param {{ total: number, pressed: boolean, onPress: () => void }} props */
export const AllFilter = ({ total, pressed, onPress }) => (
  <button type="button" className={classes.filter} aria-pressed={pressed} onClick={onPress}>
    <b>{formatCount(total)}</b> {plural(total, "device").replace(/^\S+ /, "")}
  </button>
);

/**
 * @param {{ icon: string, count: number, word: string, meaning: string, pressed: boolean, onPress: () => void } & Record<`data-${string}`, string>} props
 * its colour is that of the state that a `data-` attribute names
 */
export const Filter = ({ icon, count, word, meaning, pressed, onPress, ...data }) => (
  <button type="button" className={classes.filter} aria-pressed={pressed} title={meaning} onClick={onPress} {...data}>
    <span className={classes.word}>
      <Icon name={icon} size={14} />
    </span>
    <b>{formatCount(count)}</b> {word}
  </button>
);

/** What narrows the list beside the states, and goes when it is pressed. @param {{ words: string, label: string, onPress: () => void }} props */
export const Narrowed = ({ words, label, onPress }) => (
  <button type="button" className={classes.filter} aria-pressed="true" aria-label={label} onClick={onPress}>
    {words} <Icon name="close" size={12} />
  </button>
);
