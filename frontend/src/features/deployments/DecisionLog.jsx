/** What was decided, newest first: by whom or by the server itself, and why. */
import { Button, Skeleton, Stack } from "@mantine/core";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { Sentence } from "../runs/Sentence";
import { useDecisions } from "./useDeployments";
import classes from "./DecisionLog.module.css";

/** @param {{ deployment: import("./states").Deployment }} props */
export function DecisionLog({ deployment }) {
  const pages = useDecisions(deployment);
  if (!pages.data) {
    return pages.error ? (
      <ProblemBox error={pages.error} what="The log cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <Stack gap={8} role="status" aria-label="Loading the log">
        <Skeleton height={18} width="60%" />
        <Skeleton height={18} width="45%" />
        <Skeleton height={18} width="52%" />
      </Stack>
    );
  }
  const entries = pages.data.pages.flatMap(({ items }) => items);
  return (
    <>
      {pages.error && <ProblemBox error={pages.error} what="This log may be old." onRetry={() => pages.refetch()} />}
      <ol className={classes.log} data-testid="decision-log">
        {entries.map(({ id, at, actor, kind, text, wave }) => (
          <li key={id} className={classes.entry} data-kind={kind}>
            <span className={classes.when}>
              <Time at={at} />
            </span>
            <span className={classes.text}>
              <Sentence text={text} />
              {wave !== null && <span className="muted"> · wave {wave}</span>}
            </span>
            <span className={classes.who}>{actor || "the server"}</span>
          </li>
        ))}
      </ol>
      {pages.hasNextPage && (
        <Button
          variant="default"
          size="xs"
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
