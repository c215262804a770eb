/** The runs, newest first: what was run, by whom, when, and how its devices are. */
import { Button, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { plural } from "../../lib/text";
import { CountsBar } from "./CountsBar";
import { countWords, unfinished } from "./states";
import { preciseDuration } from "./took";
import { useRunList } from "./useRuns";
import classes from "./RunList.module.css";

const SKELETONS = [60, 35, 48, 70, 42, 55];

/** @param {{ filter: import("./merge").RunFilter, none: import("react").ReactNode }} props `none` is shown where there is no run */
export function RunList({ filter, none }) {
  const { runs, pages } = useRunList(filter);
  if (!runs) {
    return pages.error ? (
      <ProblemBox error={pages.error} what="The runs cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <div className={classes.list} role="status" aria-label="Loading the runs">
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
  if (runs.length === 0 && !pages.isPlaceholderData) return none;
  return (
    <>
      {pages.error && <ProblemBox error={pages.error} what="This list may be old." onRetry={() => pages.refetch()} />}
      <ul className={classes.list} data-testid="run-list">
        {runs.map((run) => (
          <Row key={run.id} run={run} />
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

/** @param {{ run: import("../../live/runs").Run }} props */
function Row({ run }) {
  const left = unfinished(run);
  const took = run.finished_at && (Date.parse(run.finished_at) - Date.parse(run.created_at)) / 1000;
  return (
    <li className={classes.row} data-testid="run-row" data-run-id={run.id}>
      <div className={classes.what}>
        <Link to="/runs/$runId" params={{ runId: run.id }} className={classes.title}>
          {run.title}
        </Link>
        <div className={classes.who}>
          {run.kind} · {run.selector === null ? "picked devices" : <span className="mono">{run.selector}</span>} ·{" "}
          {run.created_by}
        </div>
      </div>
      <div className={classes.how}>
        <CountsBar run={run} />
        <div className={classes.words}>{countWords(run.counts)}</div>
      </div>
      <div className={classes.when}>
        <Time at={run.created_at} />
        <div className="muted">
          {left > 0 ? `${plural(left, "device")} to go` : took ? `took ${preciseDuration(took)}` : "over"}
        </div>
      </div>
    </li>
  );
}
