/** What waits for a person: devices to accept, and identities in conflict. */
import { useState } from "react";
import { Button } from "@mantine/core";
import { useLive } from "../../live";
import { plural } from "../../lib/text";
import { ClaimCard } from "./ClaimCard";
import { PendingCard } from "./PendingCard";
import classes from "./Attention.module.css";

const FIRST = 2;
const FIRST_COMPACT = 1;

/** @param {import("../../live/rows").LiveState} state */
const devicesOf = (state) => state.devices;

/** @param {{ compact: boolean, onShowPending: () => void }} props `compact`: there is little room */
export default function Attention({ compact, onShowPending }) {
  const claims = useLive((state) => state.claims);
  const moreClaims = useLive((state) => state.moreClaims);
  const pendingCount = useLive((state) => state.counts.pending);
  const [everything, setEverything] = useState(false);

  const most = everything ? Infinity : compact ? FIRST_COMPACT : FIRST;
  const hidden = Math.max(0, claims.length - most) + Math.max(0, pendingCount - Math.max(0, most - claims.length));
  return (
    <section className={classes.attention} aria-label="Needs attention" data-testid="attention">
      <div className={classes.head}>
        <h2 className={classes.title}>Needs attention</h2>
        {hidden > 0 && (
          <Button variant="subtle" size="compact-sm" onClick={() => setEverything(true)} aria-expanded="false">
            Show {plural(hidden, "more", "more")}
          </Button>
        )}
        {everything && (
          <Button variant="subtle" size="compact-sm" onClick={() => setEverything(false)} aria-expanded="true">
            Show fewer
          </Button>
        )}
        {!compact && pendingCount > FIRST && (
          <Button variant="subtle" size="compact-sm" onClick={onShowPending}>
            List all pending
          </Button>
        )}
      </div>
      <ul className={classes.list} data-everything={everything || undefined}>
        {claims.slice(0, most).map((claim) => (
          <ClaimCard key={claim.id} claim={claim} />
        ))}
        {pendingCount > 0 && <Pending most={Math.min(50, most - claims.length)} />}
      </ul>
      {moreClaims > 0 && (
        <p className="muted" data-testid="more-claims">
          {plural(moreClaims, "more conflict follows", "more conflicts follow")} as these are answered.
        </p>
      )}
    </section>
  );
}

/** @param {{ most: number }} props */
function Pending({ most }) {
  const devices = useLive(devicesOf);
  const cards = [];
  for (const device of devices.values()) {
    if (cards.length >= most) break;
    if (device.trust === "pending") cards.push(<PendingCard key={device.id} device={device} />);
  }
  return cards;
}
