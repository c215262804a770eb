/** A time in words, the exact one on hover and in copied text. It re-renders only when its words change. */
import { useSyncExternalStore } from "react";
import { now, onTick } from "../lib/clock";
import { exactTime, relativeTime } from "../lib/time";
import classes from "./Time.module.css";

/** @param {string} at ISO 8601 */
export const useRelativeTime = (at) => useSyncExternalStore(onTick, () => relativeTime(at, now()));

/** @param {{ at: string | null | undefined, never?: string }} props */
export function Time({ at, never = "never" }) {
  return at ? <Known at={at} /> : <span className="muted">{never}</span>;
}

/** @param {{ at: string }} props */
function Known({ at }) {
  const words = useRelativeTime(at);
  const exact = exactTime(at);
  return (
    <time dateTime={at} title={exact} className={classes.time}>
      <span className={classes.words}>{words}</span>
      <span className={classes.exact} aria-hidden="true">
        {exact}
      </span>
    </time>
  );
}
