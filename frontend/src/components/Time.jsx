/** A time in words, the exact one on hover and in copied text. It re-renders only when its words change. */
import { useSyncExternalStore } from "react";
import { now, onTick } from "../lib/clock";
import { elapsedTime, exactTime, relativeTime } from "../lib/time";
import classes from "./Time.module.css";

/** @param {{ at: string | null | undefined, never?: string, lasting?: boolean }} props `lasting`: what began then goes on */
export function Time({ at, never = "never", lasting = false }) {
  return at ? <Known at={at} say={lasting ? elapsedTime : relativeTime} /> : <span className="muted">{never}</span>;
}

/** @param {{ at: string, say: (at: string, nowMs: number) => string }} props */
function Known({ at, say }) {
  const words = useSyncExternalStore(onTick, () => say(at, now()));
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
