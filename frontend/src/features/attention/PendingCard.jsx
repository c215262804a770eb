/** A device that was seen and waits to be accepted. */
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { acceptDevice, rejectDevice } from "../devices/actions";
import { StateMark } from "../devices/StateMark";
import { useActOff } from "../devices/useActOff";
import classes from "./Attention.module.css";

/** @param {{ device: import("../../live/rows").Device }} props */
export function PendingCard({ device }) {
  const off = useActOff();
  const answer = useMutation({
    mutationFn: (/** @type {boolean} */ yes) =>
      /** @type {Promise<unknown>} */ (yes ? acceptDevice(device) : rejectDevice(device)),
  });
  const { device_name, platform, source_ip, ip_address, created_at, id } = device;
  return (
    <li className={classes.card} data-testid="pending-device">
      <div className={classes.words}>
        <div className={classes.mark}>
          <StateMark state="pending" />
          <Link
            to="/devices/$deviceId"
            params={{ deviceId: String(id) }}
            search={true}
            className="cut"
            title={device_name}
          >
            {device_name}
          </Link>
          <span className={`muted ${classes.about}`}>
            {platform} · {source_ip || ip_address} · first seen <Time at={created_at} />
          </span>
        </div>
      </div>
      <div className={classes.actions}>
        <OffButton
          off={off}
          size="compact-sm"
          loading={answer.isPending && answer.variables}
          onClick={() => answer.mutate(true)}
          aria-label={`Accept ${device_name}`}
        >
          Accept
        </OffButton>
        <OffButton
          off={off}
          size="compact-sm"
          variant="default"
          loading={answer.isPending && !answer.variables}
          onClick={() => answer.mutate(false)}
          aria-label={`Reject ${device_name}`}
        >
          Reject
        </OffButton>
      </div>
      {answer.error && (
        <div className={classes.problem}>
          <ProblemBox error={answer.error} what={`${device_name} could not be answered.`} />
        </div>
      )}
    </li>
  );
}
