/** The tokens with which machines may still join, and those that are spent. */
import { useState, useSyncExternalStore } from "react";
import { Button } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { Time } from "../../components/Time";
import { useActOff } from "../devices/useActOff";
import { TOKENS_KEY, revokeToken, stateOf, tokensQuery } from "../enroll/tokens";
import { now, onTick } from "../../lib/clock";
import { formatCount, plural } from "../../lib/text";
import { TokenList } from "./TokenList";
import { TokenRow } from "./TokenRow";
import classes from "./Tokens.module.css";

const WORDS = { used: "used up", expired: "expired", revoked: "revoked" };

export function EnrollmentTokens() {
  const [everything, setEverything] = useState(false);
  return (
    <div className={classes.tokens} data-testid="enrollment-tokens">
      <div className={classes.head}>
        <p className={classes.intro}>With one of these, a machine joins without being accepted by hand.</p>
        <Button component={Link} to="/add-device" variant="default" leftSection={<Icon name="plus" />}>
          Add device
        </Button>
      </div>
      <Tokens open label="Enrolment tokens" empty="No enrolment token is open." />
      {everything && <Tokens open={false} label="Enrolment tokens that are over" empty="No enrolment token is over." />}
      <Button className={classes.more} variant="subtle" size="compact-sm" onClick={() => setEverything(!everything)}>
        {everything ? "Hide those that are over" : "Show those that are over"}
      </Button>
    </div>
  );
}

/** @param {{ open: boolean, label: string, empty: string }} props */
function Tokens({ open, label, empty }) {
  const tokens = useInfiniteQuery(tokensQuery(open));
  const minute = useSyncExternalStore(onTick, () => Math.floor(now() / 60_000) * 60_000);
  const items = tokens.data?.pages.flatMap((page) => page.items);
  return (
    <>
      <TokenList query={{ ...tokens, data: items && { items } }} label={label} empty={empty}>
        {items?.map((token) => (
          <Row key={token.id} token={token} state={stateOf(token, minute)} />
        ))}
      </TokenList>
      {tokens.hasNextPage && (
        <Button
          className={classes.more}
          variant="subtle"
          size="compact-sm"
          loading={tokens.isFetchingNextPage}
          onClick={() => tokens.fetchNextPage()}
        >
          Show older ones
        </Button>
      )}
    </>
  );
}

/** @param {{ token: import("../enroll/tokens").Token, state: ReturnType<typeof stateOf> }} props */
function Row({ token, state }) {
  const off = useActOff();
  return (
    <TokenRow
      name={token.name}
      off={off}
      over={state !== "open"}
      warning="No machine can join with it from then on. Devices that joined with it stay."
      revoke={() => revokeToken(token.id)}
      listKey={TOKENS_KEY}
    >
      <span>
        {formatCount(token.uses)} of {plural(token.max_uses, "machine")} joined
      </span>
      <span>
        created <Time at={token.created_at} />
      </span>
      {state === "open" ? (
        <span>
          expires <Time at={token.expires_at} />
        </span>
      ) : (
        <span>{WORDS[state]}</span>
      )}
      <span className="mono">{token.origin}</span>
    </TokenRow>
  );
}
