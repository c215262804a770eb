/** The devices of a run: what each is at, why, and what comes next. */
import { Link } from "@tanstack/react-router";
import { LongTable, LongTableLoading } from "../../components/LongTable";
import { formatBytes } from "../../lib/text";
import { readable } from "./Sentence";
import { TaskMark } from "./TaskMark";
import { tookWords } from "./took";
import classes from "./TaskTable.module.css";

/** @typedef {import("../../components/LongTable").LongTableProps<import("../../live/runs").Task>} TableProps */

/** @param {Pick<TableProps, "openId" | "narrow" | "withPage" | "more" | "onMore" | "onOpen"> & { tasks: import("../../live/runs").Task[] }} props */
export function TaskTable({ tasks, ...props }) {
  return (
    <LongTable label="Devices of this run" items={tasks} rowClass={classes.row} testId="task-row" {...props}>
      {(task, open) => ({
        name: (
          <Link
            to="."
            search={(/** @type {any} */ now) => ({ ...now, task: task.id })}
            resetScroll={false}
            replace={open}
            aria-current={open ? "true" : undefined}
          >
            {task.device_name}
          </Link>
        ),
        cells: <Cells task={task} />,
      })}
    </LongTable>
  );
}

/** @param {{ task: import("../../live/runs").Task }} props */
function Cells({ task }) {
  const why = readable([task.reason, task.next_event].filter(Boolean).join(" · "));
  return (
    <>
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
    </>
  );
}

export const TasksLoading = () => <LongTableLoading label="Loading the devices of this run" />;
