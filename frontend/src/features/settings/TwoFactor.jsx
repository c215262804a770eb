/** This user's second factor: turned on with an authenticator, its recovery codes, turned off. */
import { useState } from "react";
import { PasswordInput, Skeleton } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { formatCount } from "../../lib/text";
import { useActionsOff } from "../../live";
import { CodeInput } from "../auth/CodeInput";
import { beginSetup, renewRecoveryCodes, turnOff, twoFactorQuery } from "../auth/twoFactor";
import { RecoveryCodes } from "./RecoveryCodes";
import { SetUpAuthenticator } from "./SetUpAuthenticator";
import { sessionsQuery } from "./sessions";
import tokens from "./Tokens.module.css";
import classes from "./TwoFactor.module.css";

const FEW_LEFT = 3;

export function TwoFactor() {
  const queryClient = useQueryClient();
  const factor = useQuery(twoFactorQuery);
  const [setup, setSetup] = useState(/** @type {import("../auth/twoFactor").Setup | null} */ (null));
  const [codes, setCodes] = useState(/** @type {string[] | null} */ (null));

  /** @param {string[] | null} made */
  function changed(made) {
    setSetup(null);
    setCodes(made);
    for (const { queryKey } of [twoFactorQuery, sessionsQuery]) void queryClient.invalidateQueries({ queryKey });
  }

  let body = <Skeleton height={36} />;
  if (factor.error)
    body = <ProblemBox error={factor.error} what="It cannot be said how it is." onRetry={factor.refetch} />;
  else if (codes) body = <RecoveryCodes codes={codes} onClose={() => setCodes(null)} />;
  else if (setup) body = <SetUpAuthenticator setup={setup} onDone={changed} onCancel={() => setSetup(null)} />;
  else if (factor.data?.since) body = <On factor={factor.data} onChanged={changed} />;
  else if (factor.data) body = <Off onBegun={setSetup} />;
  return (
    <div className={tokens.tokens} data-testid="two-factor">
      {body}
    </div>
  );
}

/** @param {{ onBegun: (setup: import("../auth/twoFactor").Setup) => void }} props */
function Off({ onBegun }) {
  const off = useActionsOff();
  const begin = useMutation({ mutationFn: beginSetup, onSuccess: onBegun });
  return (
    <>
      <p className={tokens.intro}>
        Off. With it, signing in takes a code of an authenticator app besides the password, and so does what reaches
        far.
      </p>
      <div>
        <OffButton off={off} loading={begin.isPending} onClick={() => begin.mutate()}>
          Set up
        </OffButton>
      </div>
      {begin.error && <ProblemBox error={begin.error} what="Nothing was set up." />}
    </>
  );
}

/**
 * @param {{ factor: { since: string | null, last_used_at: string | null, recovery_codes_left: number }, onChanged: (codes: string[] | null) => void }} props
 */
function On({ factor, onChanged }) {
  const off = useActionsOff();
  const [ending, setEnding] = useState(false);
  const renew = useMutation({ mutationFn: renewRecoveryCodes, onSuccess: ({ codes }) => onChanged(codes) });
  const left = factor.recovery_codes_left;
  return (
    <>
      <p className={tokens.intro}>
        On since <Time at={factor.since} />, last used <Time at={factor.last_used_at} />.{" "}
        <strong data-few={left < FEW_LEFT || undefined} className={classes.left}>
          {formatCount(left)} recovery {left === 1 ? "code" : "codes"} left.
        </strong>
      </p>
      <div className={classes.buttons}>
        <OffButton off={off} variant="default" loading={renew.isPending} onClick={() => renew.mutate()}>
          Make new recovery codes
        </OffButton>
        <OffButton off={off} variant="default" onClick={() => setEnding(true)}>
          Turn off
        </OffButton>
      </div>
      {renew.error && <ProblemBox error={renew.error} what="The recovery codes are as they were." />}
      <TurnOff opened={ending} onClose={() => setEnding(false)} onOff={() => onChanged(null)} />
    </>
  );
}

/** @param {{ opened: boolean, onClose: () => void, onOff: () => void }} props */
function TurnOff({ opened, onClose, onOff }) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const end = useMutation({
    mutationFn: () => turnOff({ password, code }),
    onSuccess: onOff,
    onError: () => setCode(""),
  });

  function close() {
    setPassword("");
    setCode("");
    end.reset();
    onClose();
  }

  return (
    <ConfirmDialog
      opened={opened}
      title="Turn off two-factor sign-in"
      action="Turn off"
      count={1}
      busy={end.isPending}
      onClose={close}
      onConfirm={() => end.mutate()}
    >
      <p className={tokens.warning}>
        From then on the password alone signs you in. Your other sessions are signed out.
      </p>
      <PasswordInput
        label="Your password"
        autoComplete="current-password"
        required
        withAsterisk={false}
        data-autofocus
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      <CodeInput value={code} onChange={setCode} description="Of your authenticator, or a recovery code" />
      {end.error && <ProblemBox error={end.error} what="It is still on." />}
    </ConfirmDialog>
  );
}
