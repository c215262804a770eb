/** The page that everyone sees first. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useTitle } from "../components/Page";
import { SignInForm } from "../features/auth/SignInForm";
import { safeTarget } from "../features/auth/session";
import classes from "./SignIn.module.css";

export function SignIn() {
  useTitle("Sign in");
  const navigate = useNavigate();
  const { next } = /** @type {{ next?: string }} */ (useSearch({ strict: false }));
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <img src="/favicon.svg" alt="" width="36" height="36" />
        <h1 className={classes.title}>Sign in to DeployX</h1>
        <SignInForm onSignedIn={() => navigate({ href: safeTarget(next), replace: true })} />
      </div>
    </main>
  );
}
