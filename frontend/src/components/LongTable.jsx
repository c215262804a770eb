/**
 * Devices of one thing as rows that each open something beside the table: only those in sight are there, more are asked
 * for ahead of the end, j and k go from one to the next. What stands in a row is its caller's; the name is the link.
 */
import { useEffect } from "react";
import { Skeleton } from "@mantine/core";
import { useKeys } from "../lib/useKeys";
import { useRows } from "../lib/useRows";
import classes from "./LongTable.module.css";

const WIDE_ROW = 38;
const NARROW_ROW = 58;
const LOAD_AHEAD = 40;
const WIDTHS = [40, 55, 35, 60, 45, 50, 38];

/**
 * @template {{ id: string, state: string }} T
 * @typedef {object} LongTableProps
 * @property {string} label
 * @property {T[]} items
 * @property {string | undefined} openId
 * @property {boolean} narrow two lines a row
 * @property {boolean} [withPage] it scrolls with the page
 * @property {boolean} more whether there are others after these
 * @property {() => void} onMore
 * @property {(id: string) => void} onOpen
 * @property {string} rowClass sets `--wide` and `--narrow`, the areas of a row
 * @property {string} testId of each row
 * @property {(item: T, open: boolean) => { name: import("react").ReactNode, cells: import("react").ReactNode }} children
 */

/** @template {{ id: string, state: string }} T @param {LongTableProps<T>} props */
export function LongTable(props) {
  const { label, items, openId, narrow, withPage = true, more, onMore, onOpen, rowClass, testId, children } = props;
  const height = narrow ? NARROW_ROW : WIDE_ROW;
  const { box, total, rows, reveal } = useRows(items.length, (index) => items[index].id, { height, withPage });
  const last = rows.at(-1)?.index ?? 0;
  const wanted = more && last >= items.length - LOAD_AHEAD;
  useEffect(() => {
    if (wanted) onMore();
  }, [wanted, onMore]);

  /** @param {1 | -1} by */
  function step(by) {
    const at = items.findIndex(({ id }) => id === openId);
    const next = at < 0 ? 0 : Math.min(items.length - 1, Math.max(0, at + by));
    if (!items[next]) return;
    reveal(next);
    onOpen(items[next].id);
  }
  useKeys({ j: () => step(1), k: () => step(-1) });

  return (
    <div ref={box} className={classes.scroller} data-with-page={withPage || undefined}>
      <div
        role="table"
        aria-label={label}
        aria-rowcount={items.length}
        className={classes.table}
        style={{ height: total }}
        data-narrow={narrow || undefined}
      >
        {rows.map(({ index, top }) => {
          const item = items[index];
          const open = item.id === openId;
          const { name, cells } = children(item, open);
          return (
            <div
              key={item.id}
              role="row"
              aria-rowindex={index + 1}
              className={`${classes.row} ${rowClass}`}
              style={{ transform: `translateY(${top}px)`, height }}
              data-testid={testId}
              data-state={item.state}
              data-open={open || undefined}
            >
              <div role="cell" className={classes.name}>
                {name}
              </div>
              {cells}
            </div>
          );
        })}
      </div>
    </div>
  );
}

/** The shape of one that is on its way. @param {{ label: string }} props */
export function LongTableLoading({ label }) {
  return (
    <div className={classes.scroller} data-with-page role="status" aria-label={label}>
      {WIDTHS.map((width) => (
        <div key={width} className={classes.loading}>
          <Skeleton height={14} width={`${width}%`} />
        </div>
      ))}
    </div>
  );
}
