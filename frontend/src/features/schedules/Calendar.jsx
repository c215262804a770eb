/** The coming weeks: what is due on which day, by the reader's own clock. */
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { plural } from "../../lib/text";
import { calendarQuery } from "./api";
import { daysOf, spanOf } from "./days";
import classes from "./Calendar.module.css";

const SHOWN = 4;
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const dayAndMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const wholeDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });

/** @param {{ now?: Date }} props */
export function Calendar({ now = new Date() }) {
  const { start, end } = spanOf(now);
  const { data, error, refetch } = useQuery(calendarQuery(start.toISOString(), end.toISOString()));
  if (!data)
    return error ? (
      <ProblemBox error={error} what="The coming weeks cannot be shown." onRetry={() => refetch()} />
    ) : (
      <Skeleton height={360} role="status" aria-label="Loading the coming weeks" />
    );
  const days = daysOf(data.items, now);
  return (
    <>
      {data.items.length === 0 && <p className="muted">Nothing is due in the coming five weeks.</p>}
      <ol className={classes.days} data-testid="calendar">
        {days.map((day, number) => (
          <Day key={day.date.toISOString()} day={day} first={number === 0 || day.date.getDate() === 1} />
        ))}
      </ol>
    </>
  );
}

/** @param {{ day: import("./days").Day, first: boolean }} props */
function Day({ day: { date, due, past }, first }) {
  const today = date.toDateString() === new Date().toDateString();
  return (
    <li
      className={classes.day}
      data-past={past || undefined}
      data-today={today || undefined}
      data-empty={due.length === 0 || undefined}
      aria-label={wholeDay.format(date)}
    >
      <div className={classes.date} aria-hidden="true">
        <span className={classes.weekday}>{weekday.format(date)}</span>{" "}
        {first ? dayAndMonth.format(date) : date.getDate()}
      </div>
      {due.length > 0 && (
        <ul className={classes.due}>
          {due.slice(0, SHOWN).map(({ scheduleId, name, times, often }) => (
            <li key={scheduleId}>
              <Link to="/schedules/$scheduleId" params={{ scheduleId }} className={classes.link} title={name}>
                <span className={classes.time}>
                  {often ? "often" : times.length > 1 ? `${times.length}×` : clock.format(times[0])}
                </span>{" "}
                {name}
              </Link>
            </li>
          ))}
          {due.length > SHOWN && <li className="muted">and {plural(due.length - SHOWN, "more", "more")}</li>}
        </ul>
      )}
    </li>
  );
}
