/** A token in a list: its name, what is known of it, and the way to end it. */
import { useState } from "react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import classes from "./Tokens.module.css";

/**
 * @param {object} props
 * @param {string} props.name
 * @param {import("react").ReactNode} props.children
 * @param {string | null} props.off why it cannot be revoked now
 * @param {boolean} [props.over] whether there is nothing left to end
 * @param {string} [props.verb] what ending it is called
 * @param {string} props.warning what revoking it means
 * @param {() => Promise<unknown>} props.revoke
 * @param {readonly unknown[]} props.listKey the query that lists it
 */
export function TokenRow({ name, children, off, over = false, verb = "Revoke", warning, revoke, listKey }) {
  const [asking, setAsking] = useState(false);
  const queryClient = useQueryClient();
  const end = useMutation({
    mutationFn: revoke,
    onSuccess: () => queryClient.invalidateQueries({ queryKey: listKey }),
    onSettled: () => setAsking(false),
  });
  return (
    <li className={classes.row} data-testid="token-row" data-over={over || undefined}>
      <div className={classes.words}>
        <strong>{name}</strong>
        <div className={classes.facts}>{children}</div>
      </div>
      {!over && (
        <OffButton
          off={off}
          size="compact-sm"
          variant="default"
          aria-label={`${verb} ${name}`}
          onClick={() => setAsking(true)}
        >
          {verb}
        </OffButton>
      )}
      {end.error && (
        <div className={classes.problem}>
          <ProblemBox error={end.error} what={`Nothing was done about ${name}.`} />
        </div>
      )}
      <ConfirmDialog
        opened={asking}
        title={`${verb} ${name}`}
        action={verb}
        count={1}
        busy={end.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => end.mutate()}
      >
        <p className={classes.warning}>{warning}</p>
      </ConfirmDialog>
    </li>
  );
}
