/** The question who it is: for a code where there is a second factor, else for the password. */
import { useEffect, useRef, useState } from "react";
import { PasswordInput, Skeleton } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ProblemBox } from "../../components/ProblemBox";
import { CodeInput } from "./CodeInput";
import { prove, twoFactorQuery } from "./twoFactor";
import classes from "./ProofDialog.module.css";

/** @param {{ onProven: () => void, onClose: () => void }} props */
export default function ProofDialog({ onProven, onClose }) {
  const factor = useQuery(twoFactorQuery);
  const [typed, setTyped] = useState("");
  const withCode = Boolean(factor.data?.since);
  const attempt = useMutation({
    mutationFn: () => prove(withCode ? { code: typed } : { password: typed }),
    onSuccess: onProven,
    onError: () => setTyped(""),
  });
  const error = attempt.error ?? factor.error;
  return (
    <ConfirmDialog
      opened
      title="Show that it is you"
      action="Continue"
      color="accent"
      count={1}
      busy={attempt.isPending || factor.isPending}
      onClose={onClose}
      onConfirm={() => attempt.mutate()}
    >
      <p className={classes.why}>
        What you are about to do reaches far. After this you are not asked for five minutes.
      </p>
      {factor.isPending ? (
        <Skeleton height={58} />
      ) : (
        <Proof withCode={withCode} typed={typed} onType={setTyped} failed={Boolean(attempt.error)} />
      )}
      {error && <ProblemBox error={error} what="That did not show it." />}
    </ConfirmDialog>
  );
}

/** @param {{ withCode: boolean, typed: string, onType: (text: string) => void, failed: boolean }} props */
function Proof({ withCode, typed, onType, failed }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.focus(), [failed]);
  if (withCode)
    return (
      <CodeInput
        ref={input}
        value={typed}
        onChange={onType}
        description="Of your authenticator, or a recovery code"
        autofocus
      />
    );
  return (
    <PasswordInput
      ref={input}
      label="Your password"
      autoComplete="current-password"
      required
      withAsterisk={false}
      data-autofocus
      value={typed}
      onChange={(event) => onType(event.currentTarget.value)}
    />
  );
}
