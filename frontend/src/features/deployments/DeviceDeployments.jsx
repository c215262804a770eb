/** What deployments did on one device, newest first: each line leads to its part of the deployment. */
import { Button, Skeleton, Stack } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { readable } from "../runs/Sentence";
import { TargetMark } from "./Mark";
import { DEPLOYMENT_STATES } from "./states";
import { useDeviceDeployments } from "./useDeployments";
import "./deployments.css";
import classes from "./DeviceDeployments.module.css";

/** @param {{ device: import("../../live/rows").Device }} props */
export default function DeviceDeployments({ device }) {
  const pages = useDeviceDeployments(device.id);
  if (!pages.data) {
    if (pages.error)
      return <ProblemBox error={pages.error} what="The deployments cannot be shown." onRetry={() => pages.refetch()} />;
    return (
      <Stack gap={8} mt="sm" role="status" aria-label="Loading the deployments">
        <Skeleton height={48} />
        <Skeleton height={48} />
      </Stack>
    );
  }
  const entries = pages.data.pages.flatMap(({ items }) => items);
  if (entries.length === 0) return <p className="muted">No deployment came here yet.</p>;
  return (
    <>
      <ol className={classes.list} data-testid="device-deployments">
        {entries.map(({ deployment, title, deployment_state, created_by, readable: mine, target }) => (
          <li key={target.id} className={classes.row} data-rollout={target.state}>
            <div className={classes.first}>
              {mine ? (
                <Link
                  to="/deployments/$deploymentId"
                  params={{ deploymentId: deployment }}
                  search={{ target: target.id }}
                  className={classes.title}
                >
                  {title}
                </Link>
              ) : (
                <span className={classes.title}>{title}</span>
              )}
              <TargetMark state={target.state} />
              <span className={classes.when}>
                <Time at={target.finished_at ?? target.started_at ?? target.updated_at} />
              </span>
            </div>
            <div className={classes.why}>
              {readable([target.reason, target.next_event].filter(Boolean).join(" · "))}
            </div>
            <div className={classes.why}>
              by {created_by} · the deployment: {DEPLOYMENT_STATES[deployment_state].word.toLowerCase()}
            </div>
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
