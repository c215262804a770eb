/** What came of a schedule's times, the latest first, each with what it started or why it did not. */
import { Button, Skeleton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { listFirings } from "./api";
import { FiringMark } from "./FiringMark";
import { firingWords } from "./words";
import classes from "./Schedules.module.css";

const REFRESH_MS = 10_000;

/** @param {{ id: string }} props */
export function History({ id }) {
  const pages = useInfiniteQuery({
    queryKey: ["schedules", "firings", id],
    queryFn: ({ pageParam }) => listFirings(id, pageParam),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    refetchInterval: REFRESH_MS,
  });
  if (!pages.data)
    return pages.error ? (
      <ProblemBox error={pages.error} what="Its history cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <Skeleton height={120} role="status" aria-label="Loading its history" />
    );
  const firings = pages.data.pages.flatMap(({ items }) => items);
  if (firings.length === 0) return <p className="muted">It was not due yet.</p>;
  return (
    <>
      <ol className={classes.history} data-testid="firings">
        {firings.map((firing) => (
          <li key={firing.id} data-state={firing.state}>
            <span className={classes.due}>
              <Time at={firing.due_at} />
            </span>
            <FiringMark state={firing.state} />
            {firing.run_id && (
              <Link to="/runs/$runId" params={{ runId: firing.run_id }}>
                Its run
              </Link>
            )}
            {firing.deployment_id && (
              <Link to="/deployments/$deploymentId" params={{ deploymentId: firing.deployment_id }}>
                Its deployment
              </Link>
            )}
            <span className="muted">{firingWords(firing)}</span>
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
