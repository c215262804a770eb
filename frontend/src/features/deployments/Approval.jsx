/** Where a second person has to say yes: to what exactly, and the two buttons. Afterwards, who did. */
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { Time } from "../../components/Time";
import { formatCount, plural } from "../../lib/text";
import { useMe } from "../auth/session";
import { useActOff } from "../devices/useActOff";
import { ACTIONS } from "./actionWords";
import classes from "./DeploymentHeader.module.css";

/**
 * @param {{ deployment: import("./states").Deployment, asked: boolean, onAsk: (action: import("./steering").Action) => void }} props
 */
export function Approval({ deployment, asked, onAsk }) {
  const { approval, state, created_by, user_id, total, plan_hash } = deployment;
  const off = useActOff();
  const me = useMe();
  if (!approval.required) return null;
  if (state !== "awaiting_approval") {
    if (!approval.decided) return null;
    return (
      <p className={classes.meta} data-testid="approval">
        {approval.decided === "approved" ? "Approved" : "Rejected"} by {approval.by} <Time at={approval.at} />
        {approval.note && <>: “{approval.note}”</>}
      </p>
    );
  }
  const mine = me !== undefined && me.id === user_id;
  const why = mine ? "You started it: somebody else has to approve it." : asked ? "It is being done." : null;
  return (
    <section className={classes.approval} aria-label="Approval" data-testid="approval">
      <p>
        {created_by} wants this on {plural(total, "device")}; above {formatCount(approval.above)} a second person
        decides. {mine ? "Somebody else has to approve" : "You approve"} exactly this plan: the release, the devices and
        the strategy with the hash{" "}
        <span className="mono" title={plan_hash}>
          {plan_hash.slice(0, 12)}…
        </span>
      </p>
      <div className={classes.actions}>
        {
          /** @type {const} */ (["approve", "reject"]).map((action) => (
            <OffButton
              key={action}
              off={off ?? why}
              size="compact-md"
              variant={action === "approve" ? "filled" : "default"}
              leftSection={<Icon name={ACTIONS[action].icon} size={14} />}
              onClick={() => onAsk(action)}
            >
              {ACTIONS[action].button}
            </OffButton>
          ))
        }
      </div>
    </section>
  );
}
