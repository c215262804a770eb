/** Says that the link is lost, since when, and when it is tried again. Nothing below it is true for sure meanwhile. */
import { useSyncExternalStore } from "react";
import { Button } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { link, useLink } from "../../live";
import { onTick } from "../../lib/clock";
import { duration } from "../../lib/time";
import classes from "./LinkBanner.module.css";

/** @param {number | null} at this browser's clock, ms */
const useSecondsTo = (at) =>
  useSyncExternalStore(onTick, () => (at === null ? 0 : Math.max(0, Math.ceil((at - Date.now()) / 1000))));

/** @param {number | null} since */
const useSecondsFrom = (since) =>
  useSyncExternalStore(onTick, () => (since === null ? 0 : Math.max(0, Math.floor((Date.now() - since) / 1000))));

/** @param {import("../../live/linkStates").LinkState} state @param {number} seconds */
function next(state, seconds) {
  if (state === "connecting") return "Connecting…";
  if (state === "syncing") return "Connected. Loading what changed…";
  return seconds > 0 ? `Next attempt in ${seconds} s.` : "Trying again…";
}

export function LinkBanner() {
  const { state, attempt, retryAt, staleSince, reason } = useLink();
  const seconds = useSecondsTo(retryAt);
  const age = useSecondsFrom(staleSince);
  if (state === "idle" || state === "live" || (attempt === 0 && staleSince === null)) return null;
  return (
    <div className={classes.banner} data-testid="link-banner">
      <Icon name="unlink" size={18} />
      <div className={classes.words}>
        <strong role="status">
          {staleSince === null ? "No link to the server." : "The link to the server is lost."}
        </strong>{" "}
        <span>{reason}</span>{" "}
        {staleSince !== null && (
          <span>
            What you see is <b data-testid="stale-age">{duration(age)}</b> old, and actions are off.
          </span>
        )}{" "}
        <span className={classes.countdown}>{next(state, seconds)}</span>
      </div>
      <Button size="compact-sm" variant="default" onClick={link.retry} disabled={state !== "lost"}>
        Try now
      </Button>
    </div>
  );
}
