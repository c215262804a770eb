/** Everyone who signs in: what they may do, and the way to shut them out and let them in again. */
import { useState } from "react";
import { NativeSelect } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { useActionsOff } from "../../live";
import { useMe } from "../auth/session";
import { TokenList } from "../settings/TokenList";
import classes from "../settings/Tokens.module.css";
import { ROLES, changePerson, peopleQuery } from "./api";
import own from "./People.module.css";

export function PersonList() {
  const people = useQuery(peopleQuery);
  return (
    <div className={classes.tokens} data-testid="people">
      <TokenList query={people} label="People" what="people" empty="There is nobody.">
        {people.data?.items.map((person) => (
          <Row key={person.id} person={person} />
        ))}
      </TokenList>
    </div>
  );
}

/** @param {{ person: import("./api").Person }} props */
function Row({ person }) {
  const { id, email, role, created_at, disabled_at } = person;
  const off = useActionsOff();
  const me = useMe();
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState(false);
  const change = useMutation({
    mutationFn: (/** @type {Parameters<typeof changePerson>[1]} */ body) => changePerson(id, body),
    onSettled: (_answer, _error, body) => {
      if (body.disabled !== undefined) setAsking(false);
      return queryClient.invalidateQueries({ queryKey: peopleQuery.queryKey });
    },
  });
  const wanted = change.isPending ? change.variables.role : undefined;
  const shutting = change.isPending && change.variables.disabled !== undefined;
  return (
    <li className={classes.row} data-testid="person" data-over={disabled_at ? true : undefined}>
      <div className={classes.words}>
        <strong>{email}</strong>
        <div className={classes.facts}>
          {id === me?.id && <span>you</span>}
          {disabled_at ? (
            <span>
              shut out <Time at={disabled_at} />
            </span>
          ) : (
            <span>
              here since <Time at={created_at} />
            </span>
          )}
        </div>
      </div>
      <NativeSelect
        className={own.role}
        size="xs"
        aria-label={`Role of ${email}`}
        data={ROLES}
        value={wanted ?? role}
        disabled={off !== null || change.isPending}
        onChange={(event) => change.mutate({ role: /** @type {import("./api").Role} */ (event.currentTarget.value) })}
      />
      <OffButton
        className={own.verb}
        off={off}
        size="compact-sm"
        variant="default"
        aria-label={`${disabled_at ? "Let in" : "Shut out"} ${email}`}
        loading={shutting}
        onClick={() => (disabled_at ? change.mutate({ disabled: false }) : setAsking(true))}
      >
        {disabled_at ? "Let in" : "Shut out"}
      </OffButton>
      {change.error && (
        <div className={classes.problem}>
          <ProblemBox error={change.error} what={`${email} stays as before.`} />
        </div>
      )}
      <ConfirmDialog
        opened={asking}
        title={`Shut out ${email}`}
        action="Shut out"
        count={1}
        busy={shutting}
        onClose={() => setAsking(false)}
        onConfirm={() => change.mutate({ disabled: true })}
      >
        <p className={classes.warning}>
          Their sessions, API tokens and open dashboards end at once. Their devices, groups and runs stay.
        </p>
      </ConfirmDialog>
    </li>
  );
}
