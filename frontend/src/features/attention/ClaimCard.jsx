/** An identity in conflict: what happened in plain words, who asks, and the answers that fit. */
import { Tooltip } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { useActOff } from "../devices/useActOff";
import { shortened } from "../../lib/text";
import { ANSWERS, KINDS, answerClaim, answersTo } from "./claims";
import classes from "./Attention.module.css";

/** @param {{ claim: import("../../live/rows").Claim }} props */
export function ClaimCard({ claim }) {
  const off = useActOff();
  const { title, explain } = KINDS[claim.kind];
  const answer = useMutation({
    mutationFn: (/** @type {import("./claims").Answer} */ given) => answerClaim(claim, given),
  });
  return (
    <li className={`${classes.card} ${classes.explained}`} data-testid="claim" data-kind={claim.kind}>
      <div className={classes.words}>
        <div className={classes.mark}>
          <span style={{ color: "var(--state-quarantined)" }}>
            <Icon name="quarantined" />
          </span>
          <strong>{title}</strong>
          <Link
            to="/devices/$deviceId"
            params={{ deviceId: String(claim.device_id) }}
            search={true}
            className="cut"
            title={claim.device_name}
          >
            {claim.device_name}
          </Link>
        </div>
      </div>
      <div className={classes.actions}>
        {answersTo(claim).map((name, index) => (
          <Tooltip key={name} label={ANSWERS[name].hint} disabled={off !== null}>
            <span>
              <OffButton
                off={off}
                size="compact-sm"
                variant={index === 0 ? "filled" : "default"}
                loading={answer.isPending && answer.variables === name}
                onClick={() => answer.mutate(name)}
              >
                {ANSWERS[name].label}
              </OffButton>
            </span>
          </Tooltip>
        ))}
      </div>
      <p className={classes.explanation} title={claim.detail || undefined}>
        {explain({ ...claim, device_name: shortened(claim.device_name), hostname: shortened(claim.hostname) })}{" "}
        <span className="muted">
          Asked from {claim.source_ip || claim.ip_address} as {claim.agent_id} ({claim.platform}
          {claim.keyed ? "" : ", without a key"}), {claim.connected ? "connected now" : "not connected now"}, last seen{" "}
          <Time at={claim.last_seen} />.
        </span>
      </p>
      {answer.error && (
        <div className={classes.problem}>
          <ProblemBox error={answer.error} what="The answer was refused." />
        </div>
      )}
    </li>
  );
}
