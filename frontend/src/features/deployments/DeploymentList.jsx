/** The deployments, newest first: which release, to whom, in which state, and how far. */
import { Button, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { formatCount, plural } from "../../lib/text";
import { DeploymentMark } from "./Mark";
import { countWords, settledIn } from "./states";
import { TargetBar } from "./TargetBar";
import { useDeploymentList } from "./useDeployments";
import "./deployments.css";
import classes from "./DeploymentList.module.css";

const SKELETONS = [60, 35, 48, 70, 42, 55];

/** @param {{ filter: import("./api").DeploymentFilter, none: import("react").ReactNode }} props `none` is shown where there is no deployment */
export function DeploymentList({ filter, none }) {
  const { deployments, pages } = useDeploymentList(filter);
  if (!deployments) {
    return pages.error ? (
      <ProblemBox error={pages.error} what="The deployments cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <div className={classes.list} role="status" aria-label="Loading the deployments">
        {SKELETONS.map((width) => (
          <div key={width} className={classes.row}>
            <Skeleton height={16} width={`${width}%`} />
            <Skeleton height={8} mt={6} />
            <Skeleton height={14} width="70%" />
          </div>
        ))}
      </div>
    );
  }
  if (deployments.length === 0 && !pages.isPlaceholderData) return none;
  return (
    <>
      {pages.error && <ProblemBox error={pages.error} what="This list may be old." onRetry={() => pages.refetch()} />}
      <ul className={classes.list} data-testid="deployment-list">
        {deployments.map((deployment) => (
          <Row key={deployment.id} deployment={deployment} />
        ))}
      </ul>
      {pages.hasNextPage && (
        <Button
          variant="default"
          className={classes.older}
          loading={pages.isFetchingNextPage}
          onClick={() => pages.fetchNextPage()}
        >
          Show older
        </Button>
      )}
    </>
  );
}

/** @param {{ deployment: import("./states").Deployment }} props */
function Row({ deployment }) {
  const { id, title, state, counts, total, wave, waves, selector, created_by, created_at, attention } = deployment;
  const far = `${formatCount(settledIn(counts))} of ${formatCount(total)} done`;
  return (
    <li className={classes.row} data-testid="deployment-row" data-deployment-id={id} data-state={state}>
      <div className={classes.what}>
        <div className={classes.first}>
          <Link to="/deployments/$deploymentId" params={{ deploymentId: id }} className={classes.title}>
            {title}
          </Link>
          <DeploymentMark state={state} />
        </div>
        <div className={classes.who}>
          {selector === null ? (
            plural(total, "picked device")
          ) : (
            <>
              {plural(total, "device")} · <span className="mono">{selector}</span>
            </>
          )}{" "}
          · {created_by}
        </div>
      </div>
      <div className={classes.how}>
        <TargetBar counts={counts} />
        <div className={classes.words} title={countWords(counts)}>
          {wave > 0 && waves.length > 1 && `Wave ${wave} of ${waves.length} · `}
          {far}
          {attention > 0 && ` · ${formatCount(attention)} to look at`} · {countWords(counts)}
        </div>
      </div>
      <div className={classes.when}>
        <Time at={created_at} />
      </div>
    </li>
  );
}
