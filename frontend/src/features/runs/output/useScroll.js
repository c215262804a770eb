/**
 * What the output's box does when it is scrolled, and where it stands when its rows change.
 *
 * Invariants: while it follows, its end is on the screen; scrolling up pauses it, scrolling to the end resumes it; rows that
 * are loaded or dropped above do not move what is being read.
 */
import { useLayoutEffect, useRef } from "react";

/** How near an edge, in pixels, reading on begins. */
const NEAR = 600;
const AT_END = 6;

/**
 * @param {{ box: import("react").RefObject<HTMLDivElement | null>, rows: import("./ansi").Row[], held: import("./reader").Held, reader: import("./reader").Reader, virtual: import("@tanstack/react-virtual").Virtualizer<HTMLDivElement, Element> }} of
 */
export function useScroll({ box, rows, held, reader, virtual }) {
  const last = useRef({ top: 0, first: rows[0], anchor: { seq: -1, nth: 0, offset: 0 } });
  const { version, following } = held;

  // After every change of what is drawn: its height may follow its rows by a moment.
  useLayoutEffect(() => {
    if (following) box.current?.scrollTo({ top: box.current.scrollHeight });
  });

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const before = last.current;
    if (!following && before.first !== undefined && before.first !== rows[0]) {
      const { seq, nth, offset } = before.anchor;
      const begins = rows.findIndex((row) => row.seq >= seq);
      const index = begins < 0 ? 0 : rows[begins].seq === seq ? begins + nth : begins;
      const place = virtual.getOffsetForIndex(Math.min(index, rows.length - 1), "start");
      if (place) element.scrollTo({ top: place[0] + offset });
    }
    before.first = rows[0];
    before.top = element.scrollTop;
  }, [box, rows, version, following, virtual]);

  return function onScroll() {
    const element = box.current;
    if (!element) return;
    const { scrollTop, scrollHeight, clientHeight } = element;
    const before = last.current;
    const left = scrollHeight - clientHeight - scrollTop;
    const up = scrollTop < before.top - 1;
    before.top = scrollTop;
    before.anchor = anchorAt(rows, virtual, scrollTop);
    const now = reader.get();
    if (now.following) {
      if (up && left > AT_END) reader.pause();
      return;
    }
    if (left <= AT_END && now.nextSeq >= now.end && !up) return void reader.toEnd();
    if (up && scrollTop < NEAR && now.fromSeq > 0) void reader.earlier();
    if (!up && left < NEAR && now.nextSeq < now.end) void reader.later();
  };
}

/** The row at the top, named by the chunk it begins in. @param {import("./ansi").Row[]} rows @param {any} virtual @param {number} top */
function anchorAt(rows, virtual, top) {
  const item = virtual.getVirtualItemForOffset(top);
  const row = item && rows[item.index];
  if (!row) return { seq: -1, nth: 0, offset: 0 };
  let nth = 0;
  while (item.index - nth > 0 && rows[item.index - nth - 1].seq === row.seq) nth += 1;
  return { seq: row.seq, nth, offset: top - item.start };
}
