/** A page that could not be shown: why, and another try. */
import { useRouter } from "@tanstack/react-router";
import { Page } from "../components/Page";
import { ProblemBox } from "../components/ProblemBox";

/** @param {{ error: unknown, reset?: () => void }} props */
export function Failure({ error, reset }) {
  const router = useRouter();
  function retry() {
    reset?.();
    void router.invalidate();
  }
  return (
    <Page title="This page cannot be shown">
      <ProblemBox error={error} what="Something is in the way." onRetry={retry} />
    </Page>
  );
}
