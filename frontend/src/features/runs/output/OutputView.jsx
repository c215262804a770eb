/** The output of one device: live, searched, copied; only the rows on the screen exist, and only a part is loaded. */
import { useEffect, useMemo, useRef, useState } from "react";
import { Button } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Icon } from "../../../components/Icon";
import { ProblemBox } from "../../../components/ProblemBox";
import { Time } from "../../../components/Time";
import { formatBytes } from "../../../lib/text";
import { OutputRow } from "./OutputRow";
import { OutputTools } from "./OutputTools";
import { Position } from "./Position";
import { useOutput } from "./useOutput";
import { useScroll } from "./useScroll";
import { useSearch } from "./useSearch";
import classes from "./Output.module.css";

const ROW_HEIGHT = 18;
const CHARACTER_WIDTH = 7.5;
/** Rows beyond the edges; where they wrap each may be as high as the screen. */
const OVERSCAN = 10;
const OVERSCAN_WRAPPED = 2;

/** @param {{ task: import("../../../live/runs").Task, running: boolean }} props */
export function OutputView({ task, running }) {
  const { output_deleted_at: deletedAt, output_bytes: bytes } = task;
  if (!deletedAt) return <Shown task={task} running={running} />;
  return (
    <p className={classes.note} data-testid="output-deleted">
      What it printed, {formatBytes(bytes)}, was deleted <Time at={deletedAt} />, as the server&rsquo;s retention says.
    </p>
  );
}

/** @param {{ task: import("../../../live/runs").Task, running: boolean }} props */
function Shown({ task, running }) {
  const { reader, held } = useOutput(task);
  const [stream, setStream] = useState(0);
  const [wrap, setWrap] = useState(false);
  const { rows: all, version } = held;
  const rows = useMemo(
    () => (stream ? all.filter((row) => row.stream === stream) : all),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- rows grow in place; the version says when
    [all, version, stream],
  );
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoised by a compiler
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    // What is far from the truth would have hundreds of long rows laid out before they are measured.
    estimateSize: (index) => (wrap ? ROW_HEIGHT * linesOf(rows[index].text, box.current) : ROW_HEIGHT),
    getItemKey: wrap ? wrappedKey : plainKey, // so that heights of the one are not taken for heights of the other
    overscan: wrap ? OVERSCAN_WRAPPED : OVERSCAN,
  });
  const onScroll = useScroll({ box, rows, held, reader, virtual });
  const search = useSearch(task.id, reader, held, rows);
  const { matches, current } = search;

  const byRow = useMemo(() => {
    /** @type {Map<number, { at: number, length: number, current: boolean }[]>} */
    const found = new Map();
    matches.forEach(({ row, at, length }, index) => {
      found.set(row, [...(found.get(row) ?? []), { at, length, current: index === current }]);
    });
    return found;
  }, [matches, current]);

  const target = matches[current]?.row;
  useEffect(() => {
    if (target !== undefined) virtual.scrollToIndex(target, { align: "center" });
  }, [virtual, target]);

  const empty = held.end === 0 && task.output_bytes === 0;
  return (
    <section className={classes.view} aria-label="Output">
      <OutputTools
        task={task}
        rows={rows}
        whole={held.fromSeq === 0 && held.nextSeq >= held.end}
        search={search}
        stream={stream}
        onStream={setStream}
        wrap={wrap}
        onWrap={setWrap}
      />
      {held.error !== null && (
        <ProblemBox error={held.error} what="The output cannot be read." onRetry={reader.retry} />
      )}
      {held.gone && <p className={classes.note}>Output was deleted, as the server&rsquo;s retention says.</p>}
      <div className={classes.frame}>
        <div
          ref={box}
          className={classes.box}
          data-wrap={wrap || undefined}
          data-testid="output"
          data-following={held.following || undefined}
          role="log"
          aria-live="off"
          aria-label={`Output of ${task.device_name}`}
          // eslint-disable-next-line jsx-a11y-x/no-noninteractive-tabindex -- it scrolls, so the keyboard must reach it
          tabIndex={0}
          onScroll={onScroll}
        >
          {empty ? (
            <p className={classes.empty}>{running ? "Nothing was printed yet." : "It printed nothing."}</p>
          ) : (
            <div className={classes.whole} style={{ height: virtual.getTotalSize() }}>
              {virtual.getVirtualItems().map(({ index, start, key }) => (
                <OutputRow
                  key={key}
                  index={index}
                  top={start}
                  text={rows[index].text}
                  marks={rows[index].marks}
                  stream={rows[index].stream}
                  matches={byRow.get(index)}
                  measure={wrap ? virtual.measureElement : undefined}
                />
              ))}
            </div>
          )}
        </div>
        {!held.following && (running || held.nextSeq < held.end) && (
          <Button
            className={classes.toEnd}
            size="compact-sm"
            leftSection={<Icon name="down" size={14} />}
            onClick={() => reader.toEnd()}
          >
            {running ? "Follow" : "To the end"}
          </Button>
        )}
      </div>
      <Position held={held} reader={reader} bytes={task.output_bytes} />
    </section>
  );
}

/** @param {number} index */
const plainKey = (index) => index;

/** @param {number} index */
const wrappedKey = (index) => `wrapped ${index}`;

/** Into how many lines a text wraps, about. @param {string} text @param {HTMLElement | null} box */
function linesOf(text, box) {
  const columns = Math.max(20, (box?.clientWidth ?? 600) / CHARACTER_WIDTH);
  return Math.max(1, Math.ceil(text.length / columns));
}
