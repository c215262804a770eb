/**
 * Asks whoever sits there to show again that it is them, when the server wants that before it does something, and lets
 * the request go on. Requests that come meanwhile wait for the same answer.
 */
import { Suspense, useEffect, useRef, useState } from "react";
import { piece } from "../../components/Piece";
import { onProofNeeded } from "../../lib/api";

const ProofDialog = piece(() => import("./ProofDialog"), { what: "The question who you are", over: true });

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
        <ProofDialog onProven={() => answer(true)} onClose={() => answer(false)} />
      </Suspense>
    )
  );
}
