/** What one device was asked, newest first: each line leads to its part of the run. */
import { Button, Skeleton, Stack } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { readable } from "./Sentence";
import { TaskMark } from "./TaskMark";
import { useDeviceTasks } from "./useRuns";
import "./runs.css";
import classes from "./DeviceTasks.module.css";

/** @param {{ device: import("../../live/rows").Device }} props */
export default function DeviceTasks({ device }) {
  const pages = useDeviceTasks(device.id);
  if (!pages.data) {
    if (pages.error)
      return <ProblemBox error={pages.error} what="The runs cannot be shown." onRetry={() => pages.refetch()} />;
    return (
      <Stack gap={8} mt="sm" role="status" aria-label="Loading the runs">
        <Skeleton height={40} />
        <Skeleton height={40} />
      </Stack>
    );
  }
  const tasks = pages.data.pages.flatMap(({ items }) => items);
  if (tasks.length === 0) {
    return (
      <p className="muted">
        Nothing was run here yet.
        {device.trust === "trusted" ? " Run… at the top starts something." : " Only a trusted device is given work."}
      </p>
    );
  }
  return (
    <>
      <ol className={classes.list} data-testid="device-tasks">
        {tasks.map((task) => (
          <li key={task.id} className={classes.row}>
            {task.readable ? (
              <Link
                to="/runs/$runId"
                params={{ runId: task.run_id }}
                search={{ task: task.id }}
                className={classes.title}
              >
                {task.run_title}
              </Link>
            ) : (
              <span className={classes.theirs}>A run of {task.created_by}</span>
            )}
            <TaskMark state={task.state} />
            <span className={classes.why}>{readable([task.reason, task.next_event].filter(Boolean).join(" · "))}</span>
            <span className="muted">
              <Time at={task.created_at} />
            </span>
          </li>
        ))}
      </ol>
      {pages.hasNextPage && (
        <Button
          variant="default"
          size="xs"
          mt="sm"
          loading={pages.isFetchingNextPage}
          onClick={() => pages.fetchNextPage()}
        >
          Show older
        </Button>
      )}
    </>
  );
}
