/** Where one is in an output that is too large to be loaded whole. */
import { useState } from "react";
import { Button } from "@mantine/core";
import { formatBytes } from "../../../lib/text";
import classes from "./Output.module.css";

/** @param {{ held: import("./reader").Held, reader: import("./reader").Reader, bytes: number }} props */
export function Position({ held, reader, bytes }) {
  const [dragged, setDragged] = useState(/** @type {number | null} */ (null));
  const { fromSeq, nextSeq, end } = held;
  if (fromSeq === 0 && nextSeq >= end) return null;
  const share = (/** @type {number} */ seq) => formatBytes((bytes * seq) / Math.max(1, end));

  function go() {
    if (dragged !== null) void reader.toSeq(dragged);
    setDragged(null);
  }

  return (
    <div className={classes.position}>
      <Button size="compact-xs" variant="default" disabled={fromSeq === 0} onClick={() => reader.toStart()}>
        Start
      </Button>
      <input
        type="range"
        className={classes.slider}
        aria-label="Place in the output"
        aria-valuetext={`${share(dragged ?? fromSeq)} of ${formatBytes(bytes)}`}
        min={0}
        max={Math.max(1, end - 1)}
        value={dragged ?? fromSeq}
        onChange={(event) => setDragged(Number(event.currentTarget.value))}
        onPointerUp={go}
        onKeyUp={go}
        onBlur={go}
      />
      <span className={classes.place} data-testid="output-place">
        {share(dragged ?? fromSeq)} – {share(dragged ?? nextSeq)} of {formatBytes(bytes)}
      </span>
    </div>
  );
}
