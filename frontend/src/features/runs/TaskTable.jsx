/** The devices of a run: what each is at, why, and what comes next. */
import { useEffect } from "react";
import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { formatBytes } from "../../lib/text";
import { useKeys } from "../../lib/useKeys";
import { useRows } from "../../lib/useRows";
import { readable } from "./Sentence";
import { TaskMark } from "./TaskMark";
import { tookWords } from "./took";
import classes from "./TaskTable.module.css";

const WIDE_ROW = 38;
const NARROW_ROW = 58;
const LOAD_AHEAD = 40;

/**
 * @typedef {object} TaskTableProps
 * @property {import("../../live/runs").Task[]} tasks
 * @property {string | undefined} openId
 * @property {boolean} narrow two lines a row
 * @property {boolean} withPage it scrolls with the page
 * @property {boolean} more whether there are others after these
 * @property {() => void} onMore
 * @property {(id: string) => void} onOpen
 */

/** @param {TaskTableProps} props */
export function TaskTable({ tasks, openId, narrow, withPage, more, onMore, onOpen }) {
  const height = narrow ? NARROW_ROW : WIDE_ROW;
  const { box, total, rows, reveal } = useRows(tasks.length, (index) => tasks[index].id, { height, withPage });
  const last = rows.at(-1)?.index ?? 0;
  const wanted = more && last >= tasks.length - LOAD_AHEAD;
  useEffect(() => {
    if (wanted) onMore();
  }, [wanted, onMore]);

  /** @param {1 | -1} by */
  function step(by) {
    const at = tasks.findIndex(({ id }) => id === openId);
    const next = at < 0 ? 0 : Math.min(tasks.length - 1, Math.max(0, at + by));
    if (!tasks[next]) return;
    reveal(next);
    onOpen(tasks[next].id);
  }
  useKeys({ j: () => step(1), k: () => step(-1) });

  return (
    <div ref={box} className={classes.scroller} data-with-page={withPage || undefined}>
      <div
        role="table"
        aria-label="Devices of this run"
        aria-rowcount={tasks.length}
        className={classes.table}
        style={{ height: total }}
        data-narrow={narrow || undefined}
      >
        {rows.map(({ index, top }) => (
          <Row
            key={tasks[index].id}
            task={tasks[index]}
            index={index}
            top={top}
            height={height}
            open={tasks[index].id === openId}
          />
        ))}
      </div>
    </div>
  );
}

/** @param {{ task: import("../../live/runs").Task, index: number, top: number, height: number, open: boolean }} props */
function Row({ task, index, top, height, open }) {
  const why = readable([task.reason, task.next_event].filter(Boolean).join(" · "));
  return (
    <div
      role="row"
      aria-rowindex={index + 1}
      className={classes.row}
      style={{ transform: `translateY(${top}px)`, height }}
      data-testid="task-row"
      data-state={task.state}
      data-open={open || undefined}
    >
      <div role="cell" className={classes.name}>
        <Link
          to="."
          search={(/** @type {any} */ now) => ({ ...now, task: task.id })}
          resetScroll={false}
          replace={open}
          aria-current={open ? "true" : undefined}
        >
          {task.device_name}
        </Link>
      </div>
      <div role="cell" className={classes.state}>
        <TaskMark state={task.state} />
      </div>
      <div role="cell" className={classes.why} title={why}>
        {task.cancel_requested && !task.finished_at ? "Being cancelled · " : ""}
        {why}
      </div>
      <div role="cell" className={classes.took}>
        {tookWords(task)}
      </div>
      <div role="cell" className={classes.size}>
        {task.output_bytes > 0 ? formatBytes(task.output_bytes) : ""}
      </div>
    </div>
  );
}

const WIDTHS = [40, 55, 35, 60, 45, 50, 38];

export function TasksLoading() {
  return (
    <div className={classes.scroller} role="status" aria-label="Loading the devices of this run">
      {WIDTHS.map((width) => (
        <div key={width} className={classes.loading}>
          <Skeleton height={14} width={`${width}%`} />
        </div>
      ))}
    </div>
  );
}
