/** One device of a deployment: what it is at and why, and what its task printed. */
import { useEffect, useRef } from "react";
import { ActionIcon } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { Time } from "../../components/Time";
import { plural } from "../../lib/text";
import { OutputView } from "../runs/output/OutputView";
import { Sentence } from "../runs/Sentence";
import { UNFINISHED } from "../runs/states";
import { useTask, useWatchedRun } from "../runs/useRuns";
import { TargetMark } from "./Mark";
import { IN_FLIGHT } from "./states";
import { Progress } from "./TargetTable";
import classes from "../../components/SidePanel.module.css";

/** @type {Record<import("./states").Target["outcome"], string>} */
const OUTCOMES = {
  "": "",
  installed: "installed",
  already: "it was there already: nothing was done",
  reverted: "the previous version is back, and works",
  revert_failed: "the previous version could not be brought back",
  removed: "removed",
  untouched: "nothing was changed",
};

/**
 * @param {{ deployment: import("./states").Deployment, target: import("./states").Target, narrow: boolean, onClose: () => void }} props
 */
export function TargetPanel({ deployment, target, narrow, onClose }) {
  const panel = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (narrow) panel.current?.focus(); // the row that was pressed is no longer there
  }, [narrow, target.id]);
  const runId = target.action === "revert" ? deployment.revert_run_id : deployment.run_id;
  const facts = [
    `wave ${target.wave}`,
    target.attempt > 1 && plural(target.attempt, "attempt"),
    OUTCOMES[target.outcome],
  ].filter(Boolean);
  return (
    <aside
      ref={panel}
      tabIndex={-1}
      className={classes.panel}
      aria-label={`${target.device_name} in this deployment`}
      data-testid="target-panel"
    >
      <div className={classes.first}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          aria-label={narrow ? "Back to the deployment" : "Close the device"}
          onClick={onClose}
        >
          <Icon name={narrow ? "left" : "close"} />
        </ActionIcon>
        <h2 className={classes.name}>
          {target.device_id === null ? (
            target.device_name
          ) : (
            <Link to="/devices/$deviceId" params={{ deviceId: String(target.device_id) }}>
              {target.device_name}
            </Link>
          )}
        </h2>
        <span data-testid="target-state" data-state={target.state}>
          <TargetMark state={target.state} />
        </span>
        <span className="muted">{facts.join(" · ")}</span>
      </div>
      {IN_FLIGHT.has(target.state) && <Progress target={target} />}
      {(target.reason || target.next_event) && (
        <p className={classes.why}>
          <Sentence text={[target.reason, target.next_event].filter(Boolean).join(" · ")} />
        </p>
      )}
      {target.started_at && (
        <p className={classes.why}>
          started <Time at={target.started_at} />
          {target.finished_at && (
            <>
              , ended <Time at={target.finished_at} />
            </>
          )}
        </p>
      )}
      {target.task_id && runId ? (
        <Printed key={target.task_id} runId={runId} taskId={target.task_id} />
      ) : (
        <p className="muted">It has no task yet, so there is nothing to read.</p>
      )}
    </aside>
  );
}

/** @param {{ runId: string, taskId: string }} props */
function Printed({ runId, taskId }) {
  useWatchedRun(runId);
  const { task } = useTask(runId, taskId);
  return task ? <OutputView task={task} running={UNFINISHED.has(task.state)} /> : null;
}
