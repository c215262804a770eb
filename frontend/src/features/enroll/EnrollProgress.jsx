/** Who came with a token: waiting, then each machine as it connects. */
import { useEffect, useSyncExternalStore } from "react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { useDevice, useLive } from "../../live";
import { now, onTick } from "../../lib/clock";
import { plural } from "../../lib/text";
import { stateOf, tokenQuery } from "./tokens";
import classes from "./Enroll.module.css";

const POLL_MS = 2000;

/** @param {{ token: import("./tokens").Token }} props */
export default function EnrollProgress({ token }) {
  const came = useQuery({ ...tokenQuery(token.id), refetchInterval: POLL_MS, staleTime: 0 });
  const total = useLive((state) => state.counts.total);
  const { refetch } = came;
  useEffect(() => void refetch(), [total, refetch]); // a new device: it may be this token's

  const current = came.data ?? { ...token, devices: [] };
  const state = useSyncExternalStore(onTick, () => stateOf(current, now()));
  const conflicts = useLive(({ claims }) => claims.length > 0);
  const { devices, uses, max_uses } = current;
  const withoutDevice = Math.max(0, uses - devices.length);
  return (
    <div className={classes.progress} data-testid="enroll-state" data-state={devices.length ? "connected" : state}>
      <div role="status">
        <ul className={classes.came} aria-label="Machines that came">
          {devices.slice(0, 20).map(({ id, device_name }) => (
            <Came key={id} id={id} name={device_name} />
          ))}
          {devices.length > 20 && <li className="muted">and {plural(devices.length - 20, "more", "more")}</li>}
          {withoutDevice > 0 && (
            <li className={classes.waiting}>
              <span className={classes.no}>
                <Icon name="quarantined" />
              </span>
              <span>
                {conflicts
                  ? known(withoutDevice)
                  : `${plural(withoutDevice, "machine")} came, but not as a device that is here now.`}
              </span>
            </li>
          )}
          {state === "open" && (
            <li className={classes.waiting}>
              <span className={classes.pulse} aria-hidden="true" />
              {uses === 0 ? "Waiting for it to connect…" : `${plural(max_uses - uses, "more machine")} may come…`}
            </li>
          )}
          {state === "expired" && (
            <li className="muted">
              The line expired <Time at={current.expires_at} />. Make a new one.
            </li>
          )}
          {state === "revoked" && <li className="muted">The line was revoked. Make a new one.</li>}
        </ul>
      </div>
      {came.error && !came.data && (
        <ProblemBox error={came.error} what="It cannot be seen whether the machine came." onRetry={refetch} />
      )}
    </div>
  );
}

/** @param {number} count */
const known = (count) =>
  `${plural(count, "machine")} came, but with the ids of a device that is known already. Answer it under “Needs attention”.`;

/** @param {{ id: number, name: string }} props */
function Came({ id, name }) {
  const device = useDevice(id);
  const online = device?.status === "online";
  return (
    <li className={classes.waiting}>
      <span className={online ? classes.yes : classes.no}>
        <Icon name={online ? "online" : "offline"} />
      </span>
      <span>
        <Link to="/devices/$deviceId" params={{ deviceId: String(id) }}>
          {device?.device_name ?? name}
        </Link>{" "}
        {online ? "connected ✓" : "enrolled, but not connected now"}
      </span>
    </li>
  );
}
