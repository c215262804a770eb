/**
 * Where a link of an invitation leads. Its secret stands behind the # of the address, so that it is sent to nobody; once
 * it is read it leaves the address, and with it the history of the browser.
 */
import { useEffect, useState } from "react";
import { useNavigate } from "@tanstack/react-router";
import { useTitle } from "../components/Page";
import { AcceptForm } from "../features/people/AcceptForm";
import classes from "./SignIn.module.css";

export function Invitation() {
  useTitle("Invitation");
  const navigate = useNavigate();
  const [token] = useState(() => location.hash.slice(1));
  useEffect(() => history.replaceState(history.state, "", location.pathname), []);
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <img src="/favicon.svg" alt="" width="36" height="36" />
        <h1 className={classes.title}>Join DeployX</h1>
        {token ? (
          <AcceptForm token={token} onAccepted={() => navigate({ to: "/sign-in", replace: true })} />
        ) : (
          <p className="muted">Open the link of your invitation again: what follows its # is missing here.</p>
        )}
      </div>
    </main>
  );
}
