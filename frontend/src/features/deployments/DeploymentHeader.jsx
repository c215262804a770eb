/** The head of a deployment: what it is, whose, how far it is, how fast, and what can be done about it. */
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { formatCount, plural } from "../../lib/text";
import { useActOff } from "../devices/useActOff";
import { Sentence } from "../runs/Sentence";
import { ACTIONS, actionOff } from "./actionWords";
import { Approval } from "./Approval";
import { DeploymentMark } from "./Mark";
import { ACTIVE, settledIn } from "./states";
import { SteerDialog } from "./SteerDialog";
import { TargetBar } from "./TargetBar";
import { useSteer } from "./useSteer";
import classes from "./DeploymentHeader.module.css";

/** Always these, always in this order: what cannot be done now is off and says why. @type {import("./steering").Action[]} */
const ALWAYS = ["promote", "retry", "rollback", "abort"];

/** @param {{ deployment: import("./states").Deployment, asked: boolean }} props `asked`: something that this user asked for is on its way */
export function DeploymentHeader({ deployment, asked }) {
  const off = useActOff();
  const steer = useSteer(deployment);
  const { state, selector, total, reason, next_event } = deployment;
  /** @type {import("./steering").Action} */
  const hold = state === "paused" ? "resume" : "pause";
  return (
    <header className={classes.header}>
      <div className={classes.first}>
        <div className={classes.what}>
          <h1 className={classes.title} data-testid="deployment-title">
            {deployment.title}
          </h1>
          <span data-testid="deployment-state" data-state={state} data-asked={asked || undefined} role="status">
            <DeploymentMark state={state} />
          </span>
        </div>
        <div className={classes.actions} role="group" aria-label="What can be done">
          {[hold, ...ALWAYS].map((action) => (
            <OffButton
              key={action === hold ? "hold" : action}
              off={off ?? (asked ? "It is being done." : actionOff(deployment, action))}
              size="compact-md"
              variant="default"
              leftSection={<Icon name={ACTIONS[action].icon} size={14} />}
              onClick={() => steer.ask(action)}
            >
              {ACTIONS[action].button}
            </OffButton>
          ))}
        </div>
      </div>
      <p className={classes.meta}>
        {selector === null ? plural(total, "picked device") : `${plural(total, "device")} · `}
        {selector !== null && <span className="mono">{selector}</span>}
        {deployment.following && " · and devices that join later"}
        {" · "}
        {deployment.created_by} · <Time at={deployment.created_at} />
        {" · "}
        <Link
          to="/releases/$releaseId"
          params={{ releaseId: `${deployment.release_name}@${deployment.release_version}` }}
        >
          the release
        </Link>
      </p>
      {(reason || next_event) && (
        <p className={classes.why} data-testid="deployment-reason">
          <Sentence text={said(reason, next_event)} />
        </p>
      )}
      <div className={classes.progress}>
        <TargetBar counts={deployment.counts} />
        <span className={classes.done} data-testid="deployment-progress">
          {formatCount(settledIn(deployment.counts))} of {formatCount(total)} done
          <Pace deployment={deployment} />
        </span>
      </div>
      {steer.refused && (
        <ProblemBox error={steer.refused.error} what={ACTIONS[steer.refused.action].refused} onRetry={undefined} />
      )}
      <Approval deployment={deployment} asked={asked} onAsk={steer.ask} />
      <SteerDialog deployment={deployment} action={steer.asking} onClose={steer.close} onConfirm={steer.confirm} />
    </header>
  );
}

/** As a sentence begins. @param {...string} parts */
function said(...parts) {
  const text = parts.filter(Boolean).join(" · ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {{ deployment: import("./states").Deployment }} props */
function Pace({ deployment: { state, pace_per_hour, estimate_at, finished_at } }) {
  if (!ACTIVE.includes(state))
    return finished_at ? (
      <>
        {" "}
        · ended <Time at={finished_at} />
      </>
    ) : null;
  return (
    <>
      {pace_per_hour !== null && ` · ${paceWords(pace_per_hour)}`}
      {estimate_at && (
        <>
          {" "}
          · all <Time at={estimate_at} />
        </>
      )}
    </>
  );
}

/** @param {number} perHour */
export const paceWords = (perHour) =>
  perHour >= 10 ? `${formatCount(Math.round(perHour))} an hour` : `${perHour.toFixed(1)} an hour`;
