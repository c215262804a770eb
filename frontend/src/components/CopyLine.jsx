/** A line of text to copy, whole even where the browser has no clipboard. */
import { useEffect, useRef, useState } from "react";
import { Button } from "@mantine/core";
import { copyText } from "../lib/clipboard";
import { Icon } from "./Icon";
import classes from "./CopyLine.module.css";

const COPIED_MS = 2500;

/** @param {{ text: string, label: string, testId?: string }} props */
export function CopyLine({ text, label, testId }) {
  const [said, setSaid] = useState("");
  const code = useRef(/** @type {HTMLElement | null} */ (null));

  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), COPIED_MS);
    return () => clearTimeout(timer);
  }, [said]);

  async function copy() {
    if (await copyText(text)) return setSaid("Copied");
    if (code.current) getSelection()?.selectAllChildren(code.current);
    setSaid("Selected: press Ctrl-C");
  }

  return (
    <div className={classes.line}>
      <code ref={code} className={classes.text} data-testid={testId}>
        {text}
      </code>
      <Button variant="default" leftSection={<Icon name="copy" />} onClick={copy} aria-label={`Copy ${label}`}>
        {said === "Copied" ? "Copied" : "Copy"}
      </Button>
      <span className="visually-hidden" role="status">
        {said}
      </span>
    </div>
  );
}
