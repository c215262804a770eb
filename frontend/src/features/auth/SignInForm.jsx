/** The sign-in form. */
import { useEffect, useRef, useState } from "react";
import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { asProblem } from "../../lib/problem";
import { duration } from "../../lib/time";
import { meQuery, signIn } from "./session";
import classes from "./SignInForm.module.css";

/** @param {import("../../lib/problem").Problem} problem */
function sentence(problem) {
  if (problem.code === "invalid_credentials") return "This e-mail address and password do not belong together.";
  if (problem.code === "too_many_attempts") {
    return `Too many attempts. Try again in ${duration(problem.retryAfterS ?? 60)}.`;
  }
  return [problem.detail || problem.title, problem.status === 0 ? problem.whatToDo : ""].join(" ");
}

/** @param {{ onSignedIn: () => void }} props */
export function SignInForm({ onSignedIn }) {
  const queryClient = useQueryClient();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const first = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => first.current?.focus(), []);
  const attempt = useMutation({
    mutationFn: () => signIn(email.trim(), password),
    onSuccess: (me) => {
      queryClient.setQueryData(meQuery.queryKey, me);
      onSignedIn();
    },
  });

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        attempt.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput
          ref={first}
          label="E-mail"
          type="text"
          inputMode="email"
          name="email"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          withAsterisk={false}
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          name="password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        {attempt.error && (
          <p className={classes.error} role="alert">
            {sentence(asProblem(attempt.error))}
          </p>
        )}
        <Button type="submit" loading={attempt.isPending} fullWidth>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}
