/** What was asked for: the strategy, and the hash of the plan that it is. */
import { Time } from "../../components/Time";
import { strategyFacts } from "./strategyWords";
import classes from "./PlanFacts.module.css";

/** @param {{ deployment: import("./states").Deployment }} props */
export function PlanFacts({ deployment }) {
  const { strategy, plan_hash, release_sha256, deadline_at } = deployment;
  return (
    <dl className={classes.facts} data-testid="plan">
      {strategyFacts(strategy).map(([name, value]) => (
        <div key={name} className={classes.fact}>
          <dt>{name}</dt>
          <dd>
            {value}
            {name === "Deadline" && deadline_at && (
              <>
                {" "}
                (<Time at={deadline_at} />)
              </>
            )}
          </dd>
        </div>
      ))}
      <div className={classes.fact}>
        <dt>Release</dt>
        <dd className="mono">{release_sha256}</dd>
      </div>
      <div className={classes.fact}>
        <dt>Plan</dt>
        <dd className="mono">{plan_hash}</dd>
      </div>
    </dl>
  );
}
