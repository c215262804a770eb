/** The sign-in form, and the second step for whoever has a second factor. */
import { useEffect, useRef, useState } from "react";
import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { asProblem } from "../../lib/problem";
import { duration } from "../../lib/time";
import { CodeInput } from "./CodeInput";
import { meQuery, signIn, signInWithCode } from "./session";
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
  const [challenge, setChallenge] = useState("");
  const [over, setOver] = useState(/** @type {import("../../lib/problem").Problem | null} */ (null));

  /** @param {import("./session").Me} me */
  function enter(me) {
    queryClient.setQueryData(meQuery.queryKey, me);
    onSignedIn();
  }

  /** @param {import("../../lib/problem").Problem | null} why */
  function startOver(why) {
    setOver(why);
    setChallenge("");
  }

  return challenge ? (
    <SecondStep challenge={challenge} onSignedIn={enter} onOver={startOver} />
  ) : (
    <FirstStep onSignedIn={enter} onChallenge={setChallenge} before={over} />
  );
}

/**
 * @param {{ onSignedIn: (me: import("./session").Me) => void, onChallenge: (challenge: string) => void, before: import("../../lib/problem").Problem | null }} props
 */
function FirstStep({ onSignedIn, onChallenge, before }) {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const first = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => first.current?.focus(), []);
  const attempt = useMutation({
    mutationFn: () => signIn(email.trim(), password),
    onSuccess: onSignedIn,
    onError: (error) => {
      const { challenge } = asProblem(error);
      if (challenge) onChallenge(challenge);
    },
  });
  const error = attempt.error ?? (attempt.isIdle ? before : null);

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
        <Refusal error={error} />
        <Button type="submit" loading={attempt.isPending} fullWidth>
          Sign in
        </Button>
      </Stack>
    </form>
  );
}

/**
 * @param {{ challenge: string, onSignedIn: (me: import("./session").Me) => void, onOver: (why: import("../../lib/problem").Problem | null) => void }} props
 */
function SecondStep({ challenge, onSignedIn, onOver }) {
  const [code, setCode] = useState("");
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => input.current?.focus(), []);
  const attempt = useMutation({
    mutationFn: () => signInWithCode(challenge, code),
    onSuccess: onSignedIn,
    onError: (error) => {
      setCode("");
      input.current?.focus();
      if (asProblem(error).code === "challenge_expired") onOver(asProblem(error));
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
        <CodeInput
          ref={input}
          value={code}
          onChange={setCode}
          description="What your authenticator shows, or a recovery code"
        />
        <Refusal error={attempt.error} />
        <Button type="submit" loading={attempt.isPending} fullWidth>
          Sign in
        </Button>
        <Button variant="subtle" onClick={() => onOver(null)} fullWidth>
          Back
        </Button>
      </Stack>
    </form>
  );
}

/** @param {{ error: unknown }} props */
function Refusal({ error }) {
  if (!error || asProblem(error).challenge) return null;
  return (
    <p className={classes.error} role="alert">
      {sentence(asProblem(error))}
    </p>
  );
}
