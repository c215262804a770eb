/** This user's API tokens: for the command line and for programs. */
import { useState } from "react";
import { NativeSelect, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { useActionsOff } from "../../live";
import { ShownOnce } from "./ShownOnce";
import { TokenList } from "./TokenList";
import { TokenRow } from "./TokenRow";
import { apiTokensQuery, createApiToken, deleteApiToken } from "./apiTokens";
import classes from "./Tokens.module.css";

/** @typedef {NonNullable<import("./apiTokens").ApiToken["scopes"]>[number]} Scope */

const DAY_S = 86_400;
const LIFETIMES = [
  { value: "30", label: "30 days" },
  { value: "90", label: "90 days" },
  { value: "365", label: "1 year" },
  { value: "", label: "Until it is revoked" },
];

const LIMITS = [
  { value: "", label: "do all that you may" },
  { value: "read", label: "only read" },
  { value: "runs", label: "read, and run commands" },
  { value: "devices", label: "read, and change devices" },
  { value: "runs,devices", label: "read, run and change devices" },
];
const LIMITED = Object.fromEntries(LIMITS.map(({ value, label }) => [value, label]));

/** @param {readonly string[] | null} scopes */
const mayWords = (scopes) => scopes && (LIMITED[scopes.toSorted().toReversed().join(",")] ?? scopes.join(", "));

export function ApiTokens() {
  const off = useActionsOff();
  const tokens = useQuery(apiTokensQuery);
  const [made, setMade] = useState(/** @type {import("./apiTokens").NewApiToken | null} */ (null));
  return (
    <div className={classes.tokens} data-testid="api-tokens">
      <p className={classes.intro}>
        Programs sign in with a token and may then do what you may do, or less. The command line takes it as{" "}
        <code className="mono">DEPLOYX_TOKEN</code>.
      </p>
      {made ? (
        <ShownOnce
          label="The new token"
          line={{ text: made.token, label: "the API token", testId: "api-token" }}
          onClose={() => setMade(null)}
        >
          <strong>{made.name}</strong> was made.
        </ShownOnce>
      ) : (
        <Create off={off} onMade={setMade} />
      )}
      <TokenList query={tokens} label="API tokens" empty="You have no API token.">
        {tokens.data?.items.map(({ id, name, scopes, created_at, last_used_at, expires_at }) => (
          <TokenRow
            key={id}
            name={name}
            off={off}
            warning="Programs that sign in with it are refused from then on. This cannot be undone."
            revoke={() => deleteApiToken(id)}
            listKey={apiTokensQuery.queryKey}
          >
            {scopes && <span>may {mayWords(scopes)}</span>}
            <span>
              created <Time at={created_at} />
            </span>
            <span>
              last used <Time at={last_used_at} />
            </span>
            <span>
              {expires_at ? "expires " : ""}
              <Time at={expires_at} never="does not expire" />
            </span>
          </TokenRow>
        ))}
      </TokenList>
    </div>
  );
}

/** @param {{ off: string | null, onMade: (token: import("./apiTokens").NewApiToken) => void }} props */
function Create({ off, onMade }) {
  const queryClient = useQueryClient();
  const [name, setName] = useState("");
  const [limit, setLimit] = useState("");
  const [days, setDays] = useState("90");
  const create = useMutation({
    mutationFn: createApiToken,
    onSuccess: (token) => {
      onMade(token);
      void queryClient.invalidateQueries({ queryKey: apiTokensQuery.queryKey });
    },
  });

  /** @param {import("react").FormEvent} event */
  function submit(event) {
    event.preventDefault();
    if (name.trim()) {
      create.mutate({
        name: name.trim(),
        expires_in_s: days ? Number(days) * DAY_S : null,
        scopes: limit ? /** @type {Scope[]} */ (limit.split(",")) : null,
      });
    }
  }

  return (
    <form onSubmit={submit}>
      <div className={classes.form}>
        <TextInput
          label="Name of the token"
          placeholder="Nightly report"
          maxLength={100}
          required
          withAsterisk={false}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <NativeSelect
          label="It may"
          data={LIMITS}
          value={limit}
          onChange={(event) => setLimit(event.currentTarget.value)}
        />
        <NativeSelect
          label="Good for"
          data={LIFETIMES}
          value={days}
          onChange={(event) => setDays(event.currentTarget.value)}
        />
        <OffButton type="submit" off={off} loading={create.isPending}>
          Create token
        </OffButton>
      </div>
      {create.error && <ProblemBox error={create.error} what="No token was made." />}
    </form>
  );
}
