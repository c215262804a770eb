/** One row of output. Its text is only ever text: React writes it as such, and styles are names or computed colours. */
import { memo } from "react";
import { spansOf } from "./spans";
import classes from "./Output.module.css";

/** @type {{ at: number, length: number, current: boolean }[]} */
const NONE = [];

/**
 * @param {{ index: number, top: number, text: string, marks: import("./ansi").Mark[] | null, stream: number, matches?: { at: number, length: number, current: boolean }[], measure?: (element: Element | null) => void }} props
 * `measure` where rows wrap, and so are not all of one height
 */
function Row({ index, top, text, marks, stream, matches = NONE, measure }) {
  return (
    <div
      ref={measure}
      data-index={index}
      data-stream={stream}
      className={classes.row}
      style={{ transform: `translateY(${top}px)` }}
    >
      {marks || matches.length ? spansOf(text, marks, matches).map(paint) : text || " "}
    </div>
  );
}

/** @param {import("./spans").Span} span @param {number} index */
function paint({ text, style, found }, index) {
  const look = style && {
    color: style.color ?? undefined,
    backgroundColor: style.background ?? undefined,
  };
  const className = style?.classes
    .split(" ")
    .filter(Boolean)
    .map((name) => classes[name])
    .join(" ");
  if (found === "no")
    return (
      <span key={index} className={className || undefined} style={look ?? undefined}>
        {text}
      </span>
    );
  return (
    <mark key={index} className={classes.found} data-current={found === "current" || undefined}>
      {text}
    </mark>
  );
}

export const OutputRow = memo(Row);
