/** The frame of a list of tokens, or of what is managed like them: its skeleton, its failure, its emptiness. */
import { Skeleton, Stack } from "@mantine/core";
import { ProblemBox } from "../../components/ProblemBox";
import classes from "./Tokens.module.css";

/**
 * @param {object} props
 * @param {{ data?: { items: unknown[] }, error: unknown, refetch: () => unknown }} props.query
 * @param {string} props.label
 * @param {string} props.empty
 * @param {string} [props.what] what is listed
 * @param {import("react").ReactNode} props.children
 */
export function TokenList({ query, label, empty, what = "tokens", children }) {
  if (query.error && !query.data) {
    return <ProblemBox error={query.error} what={`The ${what} cannot be shown.`} onRetry={query.refetch} />;
  }
  if (!query.data) {
    return (
      <Stack gap={10} role="status" aria-label={`Loading the ${what}`}>
        <Skeleton height={40} />
        <Skeleton height={40} />
      </Stack>
    );
  }
  if (query.data.items.length === 0) return <p className={classes.empty}>{empty}</p>;
  return (
    <ul className={classes.list} aria-label={label}>
      {children}
    </ul>
  );
}
