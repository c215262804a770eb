/** One device of a run: its state and why, and its output. */
import { useEffect, useRef, useState } from "react";
import { ActionIcon, Skeleton, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { formatBytes } from "../../lib/text";
import { useActOff } from "../devices/useActOff";
import { cancelTask } from "./api";
import { OutputView } from "./output/OutputView";
import { Sentence } from "./Sentence";
import { UNFINISHED } from "./states";
import { TaskMark } from "./TaskMark";
import { tookWords } from "./took";
import { useTask } from "./useRuns";
import classes from "../../components/SidePanel.module.css";

/** @param {{ runId: string, taskId: string, narrow: boolean, onClose: () => void }} props */
export function TaskPanel({ runId, taskId, narrow, onClose }) {
  const { task, query } = useTask(runId, taskId);
  const panel = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (narrow) panel.current?.focus(); // the row that was pressed is no longer there
  }, [narrow, taskId]);
  return (
    <aside
      ref={panel}
      tabIndex={-1}
      className={classes.panel}
      aria-label={task ? `Output of ${task.device_name}` : "Output"}
      data-testid="task-panel"
    >
      <div className={classes.first}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          aria-label={narrow ? "Back to the run" : "Close the output"}
          onClick={onClose}
        >
          <Icon name={narrow ? "left" : "close"} />
        </ActionIcon>
        {task && <Head task={task} />}
      </div>
      {task ? (
        <>
          {sentence(task) && (
            <p className={classes.why} data-testid="task-reason">
              <Sentence text={sentence(task)} />
            </p>
          )}
          <OutputView key={task.id} task={task} running={UNFINISHED.has(task.state)} />
        </>
      ) : query.error ? (
        <ProblemBox error={query.error} what="This device's part cannot be shown." onRetry={() => query.refetch()} />
      ) : (
        <Stack gap="md" role="status" aria-label="Loading the output">
          <Skeleton height={18} width="60%" />
          <Skeleton height={220} />
        </Stack>
      )}
    </aside>
  );
}

/** What the line above does not say already. @param {import("../../live/runs").Task} task */
function sentence({ reason, next_event, output_lost_bytes, output_complete, finished_at, exit_code }) {
  const known = exit_code !== null && reason === `exit code ${exit_code}`;
  const parts = [known ? "" : reason, next_event]
    .filter(Boolean)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1));
  if (output_lost_bytes > 0)
    parts.push(
      `${formatBytes(output_lost_bytes)} of output were not kept: past the quota, or the device's disk was full`,
    );
  if (finished_at && !output_complete) parts.push("The rest of the output is on its way");
  return parts.map((part) => (part.endsWith(".") ? part : `${part}.`)).join(" ");
}

/** @param {{ task: import("../../live/runs").Task }} props */
function Head({ task }) {
  const off = useActOff();
  const [asking, setAsking] = useState(false);
  const cancel = useMutation({ mutationFn: () => cancelTask(task.id), onSettled: () => setAsking(false) });
  const running = UNFINISHED.has(task.state);
  const facts = [
    task.exit_code !== null && `exit code ${task.exit_code}`,
    task.signal !== null && `signal ${task.signal}`,
    tookWords(task),
    task.output_bytes > 0 && formatBytes(task.output_bytes),
  ].filter(Boolean);
  return (
    <>
      <div className={classes.head}>
        <h2 className={classes.name} data-testid="task-device">
          {task.device_id === null ? (
            task.device_name
          ) : (
            <Link to="/devices/$deviceId" params={{ deviceId: String(task.device_id) }}>
              {task.device_name}
            </Link>
          )}
        </h2>
        <span data-testid="task-state" data-state={task.state}>
          <TaskMark state={task.state} />
        </span>
        <span className="muted">{facts.join(" · ")}</span>
      </div>
      {running && (
        <OffButton
          off={off ?? (task.cancel_requested ? "It is being cancelled already." : null)}
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="stop" size={14} />}
          onClick={() => setAsking(true)}
        >
          Cancel
        </OffButton>
      )}
      {cancel.error && <ProblemBox error={cancel.error} what="It was not cancelled." />}
      <ConfirmDialog
        opened={asking}
        title={`Cancel on ${task.device_name}`}
        action="Cancel it here"
        count={1}
        busy={cancel.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => cancel.mutate()}
      >
        <p className={classes.words}>
          {task.started_at
            ? "What runs there is told to end, and is killed after 5 seconds, with everything that it started."
            : "It will not start on this device."}
        </p>
      </ConfirmDialog>
    </>
  );
}
