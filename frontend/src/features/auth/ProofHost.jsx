/**
 * Asks whoever sits there to show again that it is them, when the server wants that before it does something, and lets
 * the request go on. Requests that come meanwhile wait for the same answer.
 */
import { Suspense, lazy, useEffect, useRef, useState } from "react";
import { onProofNeeded } from "../../lib/api";

const ProofDialog = lazy(() => import("./ProofDialog"));

export function ProofHost() {
  const [asking, setAsking] = useState(false);
  const waiting = useRef(/** @type {((proven: boolean) => void)[]} */ ([]));

  /** @param {boolean} proven */
  function answer(proven) {
    setAsking(false);
    for (const done of waiting.current.splice(0)) done(proven);
  }

  useEffect(() => {
    const forget = onProofNeeded(
      () =>
        new Promise((done) => {
          waiting.current.push(done);
          setAsking(true);
        }),
    );
    const queue = waiting.current;
    return () => {
      forget();
      for (const done of queue.splice(0)) done(false);
    };
  }, []);

  return (
    asking && (
      <Suspense>
        <ProofDialog onAnswer={answer} />
      </Suspense>
    )
  );
}
