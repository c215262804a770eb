/** A schedule to make, or (`/schedules/…/edit`) one to change. */
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { ProblemBox } from "../components/ProblemBox";
import { useTitle } from "../components/Page";
import { scheduleQuery } from "../features/schedules/api";
import { workFrom } from "../features/schedules/work";
import { ScheduleForm } from "../features/schedules/ScheduleForm";
import classes from "./Runs.module.css";

export function NewSchedule() {
  const { scheduleId } = /** @type {{ scheduleId?: string }} */ (useParams({ strict: false }));
  useTitle(scheduleId ? "Change a schedule" : "New schedule");
  const search = /** @type {Record<string, unknown>} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const query = useQuery({
    ...scheduleQuery(scheduleId ?? ""),
    enabled: scheduleId !== undefined,
    refetchInterval: false, // what is typed is about the schedule as it was read
    staleTime: 0,
  });
  const { data: schedule, error } = query;
  const waits = scheduleId !== undefined && (!schedule || (query.isFetching && !query.isFetchedAfterMount));
  return (
    <div className={classes.page}>
      <div>
        <Link to="/schedules" className={classes.back}>
          <Icon name="left" size={14} /> Schedules
        </Link>
        <h1 className={classes.title}>{scheduleId ? "Change a schedule" : "New schedule"}</h1>
      </div>
      {error && <ProblemBox error={error} what="The schedule cannot be shown." onRetry={() => query.refetch()} />}
      {waits ? (
        !error && <Skeleton height={320} role="status" aria-label="Loading the schedule" />
      ) : (
        <ScheduleForm
          schedule={scheduleId ? schedule : undefined}
          first={workFrom(search)}
          onSaved={({ id }) => navigate({ to: "/schedules/$scheduleId", params: { scheduleId: id } })}
        />
      )}
    </div>
  );
}
