/** A failure: what, why, what to do, the request id, and another try. */
import { Button } from "@mantine/core";
import { asProblem } from "../lib/problem";
import { Icon } from "./Icon";
import classes from "./ProblemBox.module.css";

/** @param {{ error: unknown, what: string, onRetry?: () => void, action?: string }} props `action`: the word on the button */
export function ProblemBox({ error, what, onRetry, action = "Try again" }) {
  const problem = asProblem(error);
  return (
    <div className={classes.box} role="alert">
      <Icon name="quarantined" className={classes.icon} />
      <div className={classes.words}>
        <strong>{what}</strong>
        <p>{problem.detail || problem.title}</p>
        {problem.whatToDo && <p>{problem.whatToDo}</p>}
        {problem.requestId && (
          <p className="muted">
            Request id <span className="mono">{problem.requestId}</span>
          </p>
        )}
      </div>
      {onRetry && (
        <Button size="xs" variant="default" onClick={onRetry}>
          {action}
        </Button>
      )}
    </div>
  );
}
