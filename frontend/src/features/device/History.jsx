/** Each time the device came or went, newest first, with the cause. */
import { Button, Skeleton, Stack } from "@mantine/core";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { StateMark } from "../devices/StateMark";
import { useHistory } from "./useHistory";
import classes from "./Device.module.css";

/** @param {{ device: import("../../live/rows").Device, first?: number }} props `first`: only so many */
export function History({ device, first }) {
  const history = useHistory(device);
  if (history.error && !history.data) {
    return <ProblemBox error={history.error} what="The history cannot be shown." onRetry={() => history.refetch()} />;
  }
  if (!history.data) {
    return (
      <Stack gap={8}>
        <Skeleton height={20} />
        <Skeleton height={20} />
        <Skeleton height={20} />
      </Stack>
    );
  }
  const events = history.data.pages.flatMap(({ items }) => items);
  if (events.length === 0) return <p className="muted">It has neither come nor gone yet.</p>;
  return (
    <>
      <ol className={classes.history} data-testid="history">
        {events.slice(0, first).map(({ id, status, detail, at, source_ip }) => (
          <li key={id} className={classes.event}>
            <StateMark state={status} />
            <span className={classes.detail}>
              {detail}
              {source_ip && !detail.includes(source_ip) && <span className="muted"> from {source_ip}</span>}
            </span>
            <span className="muted">
              <Time at={at} />
            </span>
          </li>
        ))}
      </ol>
      {!first && history.hasNextPage && (
        <Button
          variant="default"
          size="xs"
          mt="sm"
          loading={history.isFetchingNextPage}
          onClick={() => history.fetchNextPage()}
        >
          Show older
        </Button>
      )}
    </>
  );
}
