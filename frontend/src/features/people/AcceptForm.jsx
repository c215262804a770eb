/** What an invited one fills in: only a password, because the rest was said by whoever invited them. */
import { useEffect, useRef, useState } from "react";
import { Button, PasswordInput, Skeleton, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { asProblem } from "../../lib/problem";
import errors from "../auth/SignInForm.module.css";
import { acceptInvitation, invitedQuery } from "./api";

const PASSWORD_MIN = 10;

/** @param {{ token: string, onAccepted: () => void }} props */
export function AcceptForm({ token, onAccepted }) {
  const invited = useQuery(invitedQuery(token));
  const [password, setPassword] = useState("");
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const accept = useMutation({ mutationFn: () => acceptInvitation({ token, password }), onSuccess: onAccepted });
  useEffect(() => {
    if (invited.data) field.current?.focus();
  }, [invited.data]);

  if (invited.error) {
    return (
      <p className={errors.error} role="alert">
        {asProblem(invited.error).detail}
      </p>
    );
  }
  if (!invited.data) {
    return (
      <Stack gap="md" role="status" aria-label="Loading the invitation">
        <Skeleton height={58} />
        <Skeleton height={58} />
        <Skeleton height={36} />
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        accept.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput
          label="E-mail"
          description={`You will be ${{ viewer: "a viewer", operator: "an operator", admin: "an administrator" }[invited.data.role]}.`}
          inputWrapperOrder={["label", "input", "description", "error"]}
          name="email"
          autoComplete="username"
          readOnly
          value={invited.data.email}
        />
        <PasswordInput
          ref={field}
          label="Choose a password"
          description={`At least ${PASSWORD_MIN} characters`}
          inputWrapperOrder={["label", "input", "description", "error"]}
          name="password"
          autoComplete="new-password"
          minLength={PASSWORD_MIN}
          required
          withAsterisk={false}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        {accept.error && (
          <p className={errors.error} role="alert">
            {asProblem(accept.error).detail}
          </p>
        )}
        <Button type="submit" loading={accept.isPending} fullWidth>
          Accept the invitation
        </Button>
      </Stack>
    </form>
  );
}
