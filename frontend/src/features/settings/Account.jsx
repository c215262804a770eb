/** This user's own account: the password, and where they are signed in. */
import { useState } from "react";
import { PasswordInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { useActionsOff } from "../../live";
import { TokenList } from "./TokenList";
import { TokenRow } from "./TokenRow";
import { browserOf, changePassword, endSession, sessionsQuery } from "./sessions";
import classes from "./Tokens.module.css";

const PASSWORD_MIN = 10;

export function Password() {
  const off = useActionsOff();
  const queryClient = useQueryClient();
  const [current, setCurrent] = useState("");
  const [wanted, setWanted] = useState("");
  const change = useMutation({
    mutationFn: changePassword,
    onSuccess: () => {
      setCurrent("");
      setWanted("");
      void queryClient.invalidateQueries({ queryKey: sessionsQuery.queryKey });
    },
  });
  return (
    <form
      data-testid="password-form"
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate({ current, new: wanted });
      }}
    >
      <div className={classes.passwords}>
        <PasswordInput
          label="Current password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
        />
        <PasswordInput
          label="New password"
          description={`At least ${PASSWORD_MIN} characters`}
          inputWrapperOrder={["label", "input", "description", "error"]}
          autoComplete="new-password"
          minLength={PASSWORD_MIN}
          required
          withAsterisk={false}
          value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)}
        />
        <OffButton type="submit" off={off} loading={change.isPending}>
          Change password
        </OffButton>
      </div>
      <div role="status">{change.isSuccess && <p>The password is changed. Your other sessions are signed out.</p>}</div>
      {change.error && <ProblemBox error={change.error} what="The password is as it was." />}
    </form>
  );
}

export function Sessions() {
  const off = useActionsOff();
  const sessions = useQuery(sessionsQuery);
  return (
    <div className={classes.tokens} data-testid="sessions">
      <TokenList query={sessions} label="Sessions" empty="You are signed in nowhere.">
        {sessions.data?.items.map(({ id, user_agent, source_ip, created_at, last_used_at, current }) => (
          <TokenRow
            key={id}
            name={browserOf(user_agent)}
            verb="Sign out"
            over={current}
            off={off}
            warning="Whoever uses that browser has to sign in again."
            revoke={() => endSession(id)}
            listKey={sessionsQuery.queryKey}
          >
            <span>{current ? "this browser" : `from ${source_ip}`}</span>
            <span>
              signed in <Time at={created_at} />
            </span>
            <span>
              last used <Time at={last_used_at} />
            </span>
          </TokenRow>
        ))}
      </TokenList>
    </div>
  );
}
