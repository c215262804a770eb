/** The line above the list: how many there are, how many match, what changed since it was sorted, how old it is. */
import { Button, Skeleton } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { useLink } from "../../live";
import { exactTime } from "../../lib/time";
import { formatCount, plural } from "../../lib/text";
import classes from "./ListStatus.module.css";

/** @param {{ shown: number, total: number | null, moved: number, onResort: () => void }} props `total`: null while it is not known */
export function ListStatus({ shown, total, moved, onResort }) {
  const { staleSince } = useLink();
  if (total === null) {
    return (
      <div className={classes.line}>
        <Skeleton height={14} width={90} />
      </div>
    );
  }
  return (
    <div className={classes.line}>
      <span data-testid="list-count" role="status">
        {shown === total ? plural(total, "device") : `${formatCount(shown)} of ${plural(total, "device")} match`}
      </span>
      {staleSince !== null && (
        <span className={classes.stale} data-testid="stale-mark">
          <Icon name="unlink" size={14} /> As it was at {exactTime(new Date(staleSince).toISOString())}
        </span>
      )}
      {moved > 0 && (
        <Button variant="light" size="compact-sm" leftSection={<Icon name="sync" size={14} />} onClick={onResort}>
          {plural(moved, "change")}, re-sort
        </Button>
      )}
    </div>
  );
}
