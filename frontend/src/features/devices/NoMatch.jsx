/** A list that the search and the filters leave empty. */
import { Button } from "@mantine/core";
import classes from "./NoMatch.module.css";

/** @param {{ onClear: () => void }} props */
export function NoMatch({ onClear }) {
  return (
    <div className={classes.box} data-testid="no-match">
      <p>No device matches the search and the filters.</p>
      <Button variant="default" size="compact-md" onClick={onClear}>
        Clear search and filters
      </Button>
    </div>
  );
}
