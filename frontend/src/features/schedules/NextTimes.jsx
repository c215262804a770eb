/** The times that come next, by the clocks of the schedule's zone; beside each, how far off it is. */
import { Time } from "../../components/Time";
import classes from "./Schedules.module.css";

const FORMAT = /** @type {const} */ ({ weekday: "short", day: "numeric", month: "short" });

/** @param {string} local such as 2026-12-24T02:30:00+01:00 */
function shown(local) {
  const [, date, time, offset] = /^(.+)T(\d\d:\d\d)[^+-]*([+-]\d\d:\d\d)?/.exec(local) ?? ["", local, "", ""];
  const day = new Intl.DateTimeFormat(undefined, { ...FORMAT, timeZone: "UTC" }).format(Date.parse(`${date}T00:00Z`));
  return { day, time, offset };
}

/** @param {{ items: readonly { at: string, local: string }[] }} props */
export function NextTimes({ items }) {
  return (
    <ol className={classes.times} data-testid="next-times">
      {items.map(({ at, local }) => {
        const { day, time, offset } = shown(local);
        return (
          <li key={at}>
            <span>
              {day}, <b>{time}</b> <span className="muted">{offset ? `UTC${offset}` : "UTC"}</span>
            </span>
            <span className="muted">
              <Time at={at} />
            </span>
          </li>
        );
      })}
    </ol>
  );
}
