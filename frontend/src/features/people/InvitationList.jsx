/** Invitations: make a link that lets somebody become a user, see what became of it, take it back. */
import { useState } from "react";
import { NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { useActionsOff } from "../../live";
import { ShownOnce } from "../settings/ShownOnce";
import { TokenList } from "../settings/TokenList";
import { TokenRow } from "../settings/TokenRow";
import classes from "../settings/Tokens.module.css";
import { ROLES, invitationsQuery, invite, revokeInvitation, wholeLink } from "./api";
import own from "./People.module.css";

const DAY_S = 86_400;
const LIFETIMES = [
  { value: "1", label: "1 day" },
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
];
/** @type {Record<string, string>} */
const WORDS = {
  used: "accepted",
  expired: "expired",
  revoked: "revoked",
  void: "void: whoever invited may not any more",
};

export function InvitationList() {
  const off = useActionsOff();
  const invitations = useQuery(invitationsQuery);
  const [made, setMade] = useState(/** @type {import("./api").NewInvitation | null} */ (null));
  return (
    <div className={classes.tokens} data-testid="invitations">
      <p className={classes.intro}>
        Whoever opens the link chooses a password and is a user from then on. DeployX sends no mail: give the link to
        nobody else.
      </p>
      {made ? (
        <ShownOnce
          label="The new invitation"
          line={{ text: wholeLink(made.link), label: "the invitation", testId: "invitation-link" }}
          onClose={() => setMade(null)}
        >
          Give this link to <strong>{made.email}</strong>.
        </ShownOnce>
      ) : (
        <Invite off={off} onMade={setMade} />
      )}
      <TokenList query={invitations} label="Invitations" what="invitations" empty="Nobody was invited.">
        {invitations.data?.items.map(({ id, email, role, state, created_by, created_at, expires_at }) => (
          <TokenRow
            key={id}
            name={email}
            off={off}
            over={state !== "open"}
            warning="The link lets nobody in from then on."
            revoke={() => revokeInvitation(id)}
            listKey={invitationsQuery.queryKey}
          >
            <span>as {role}</span>
            <span>
              invited by {created_by ?? "nobody who is here"} <Time at={created_at} />
            </span>
            {state === "open" ? (
              <span>
                expires <Time at={expires_at} />
              </span>
            ) : (
              <span>{WORDS[state]}</span>
            )}
          </TokenRow>
        ))}
      </TokenList>
    </div>
  );
}

/** @param {{ off: string | null, onMade: (made: import("./api").NewInvitation) => void }} props */
function Invite({ off, onMade }) {
  const queryClient = useQueryClient();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState(/** @type {import("./api").Role} */ ("viewer"));
  const [days, setDays] = useState("7");
  const create = useMutation({
    mutationFn: invite,
    onSuccess: (made) => {
      onMade(made);
      void queryClient.invalidateQueries({ queryKey: invitationsQuery.queryKey });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate({ email: email.trim(), role, expires_in_s: Number(days) * DAY_S });
      }}
    >
      <div className={own.invite}>
        <TextInput
          label="E-mail of whom to invite"
          placeholder="name@example.com"
          inputMode="email"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          maxLength={254}
          required
          withAsterisk={false}
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <NativeSelect
          label="They become"
          data={ROLES}
          value={role}
          onChange={(event) => setRole(/** @type {import("./api").Role} */ (event.currentTarget.value))}
        />
        <NativeSelect
          label="Good for"
          data={LIFETIMES}
          value={days}
          onChange={(event) => setDays(event.currentTarget.value)}
        />
        <OffButton type="submit" off={off} loading={create.isPending}>
          Invite
        </OffButton>
      </div>
      {create.error && <ProblemBox error={create.error} what="Nobody was invited." />}
    </form>
  );
}
