/** The schedules: what each does, when it is next due, what came of the last time. */
import { Skeleton, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { schedulesQuery } from "./api";
import { FiringMark } from "./FiringMark";
import { whenWords } from "./words";
import classes from "./Schedules.module.css";

/** @param {{ none: import("react").ReactNode }} props `none` is shown where there is no schedule */
export function ScheduleList({ none }) {
  const { data, error, refetch } = useQuery(schedulesQuery);
  if (!data)
    return error ? (
      <ProblemBox error={error} what="The schedules cannot be shown." onRetry={() => refetch()} />
    ) : (
      <Stack gap={8} role="status" aria-label="Loading the schedules">
        <Skeleton height={58} />
        <Skeleton height={58} />
        <Skeleton height={58} />
      </Stack>
    );
  if (data.length === 0) return none;
  return (
    <>
      {error && <ProblemBox error={error} what="This list may be old." onRetry={() => refetch()} />}
      <ul className={classes.list} data-testid="schedule-list">
        {data.map((schedule) => (
          <Row key={schedule.id} schedule={schedule} />
        ))}
      </ul>
    </>
  );
}

/** @param {{ schedule: import("./api").Schedule }} props */
function Row({ schedule }) {
  const { id, name, what, own, owner, state, next_due_at, last } = schedule;
  return (
    <li className={classes.row} data-schedule={name}>
      <div className={classes.wide}>
        <Link to="/schedules/$scheduleId" params={{ scheduleId: id }} className={classes.name}>
          {name}
        </Link>
        <div className={classes.what}>
          <span className="mono">{what}</span>
          {!own && <> · {owner}</>}
        </div>
      </div>
      <div className={classes.wide}>
        <div>{whenWords(schedule)}</div>
        <div className="muted">
          {state === "active" ? (
            <>
              next <Time at={next_due_at} />
            </>
          ) : (
            state
          )}
        </div>
      </div>
      <div className={classes.last}>
        {last ? (
          <>
            <FiringMark state={last.state} />
            <span className="muted">
              <Time at={last.due_at} />
            </span>
          </>
        ) : (
          <span className="muted">not due yet</span>
        )}
      </div>
    </li>
  );
}
