/**
 * Leads to the first device. What was started while there was none stays in sight, above the list, until it is closed, so
 * that whoever waited sees it end well.
 */
import { Suspense, useState } from "react";
import { CloseButton, Skeleton } from "@mantine/core";
import { piece } from "../../components/Piece";
import classes from "./Enroll.module.css";

const FirstDevice = piece(() => import("./FirstDevice"), { what: "The way to the first device" });
const EnrollProgress = piece(() => import("./EnrollProgress"));

/** @param {{ empty: boolean }} props */
export function Welcome({ empty }) {
  const [token, setToken] = useState(/** @type {import("./tokens").NewToken | null} */ (null));
  if (empty) {
    return (
      <Suspense fallback={<Skeleton className={classes.first} height={480} />}>
        <FirstDevice token={token} onToken={setToken} />
      </Suspense>
    );
  }
  if (!token) return null;
  return (
    <section className={classes.strip} aria-label="Your first device">
      <Suspense fallback={null}>
        <EnrollProgress token={token} />
      </Suspense>
      <CloseButton aria-label="Dismiss" onClick={() => setToken(null)} />
    </section>
  );
}
