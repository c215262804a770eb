/** The list before it is known: its own shape, nothing that spins. */
import { Skeleton } from "@mantine/core";
import classes from "./TableSkeleton.module.css";

const WIDTHS = [62, 48, 70, 55, 66, 40, 58, 63, 45, 68, 52, 60];

/** @param {{ narrow: boolean }} props */
export function TableSkeleton({ narrow }) {
  return (
    <div
      className={classes.table}
      role="status"
      aria-label="Loading the devices"
      data-testid="table-skeleton"
      data-narrow={narrow || undefined}
    >
      {!narrow && <div className={classes.head} />}
      {WIDTHS.map((width, index) => (
        <div key={index} className={classes.row}>
          <Skeleton height={14} width={16} />
          <Skeleton height={14} width={`${width * 0.25}%`} />
          <Skeleton height={14} width={`${width * 0.2}%`} />
          <Skeleton height={14} width={`${width * 0.3}%`} />
        </div>
      ))}
    </div>
  );
}
