/** A secret that was just made, to copy now: it is shown this once. */
import { Button } from "@mantine/core";
import { CopyLine } from "../../components/CopyLine";
import classes from "./Tokens.module.css";

/**
 * @param {object} props
 * @param {string} props.label what it is, for who cannot see it
 * @param {{ text: string, label: string, testId: string }} props.line what is copied
 * @param {() => void} props.onClose
 * @param {import("react").ReactNode} props.children a sentence about it
 */
export function ShownOnce({ label, line, onClose, children }) {
  return (
    <div className={classes.made} role="group" aria-label={label}>
      <p>{children} Copy it now: it is not shown again.</p>
      <CopyLine {...line} />
      <Button size="compact-md" variant="default" onClick={onClose}>
        I have copied it
      </Button>
    </div>
  );
}
