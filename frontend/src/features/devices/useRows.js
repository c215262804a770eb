/**
 * Which rows exist: those on the screen and a few around them. On a wide screen the list scrolls by itself; on a phone it
 * scrolls with the page, and then begins below whatever stands above it.
 */
import { useLayoutEffect, useRef, useState } from "react";
import { useVirtualizer } from "@tanstack/react-virtual";

export const ROW_HEIGHT = 38;
export const NARROW_ROW_HEIGHT = 60;
const OVERSCAN = 10;

/** What scrolls a page on a phone. */
const PAGE = "[data-scrolls]";

/** @param {number[]} ids @param {boolean} narrow */
export function useRows(ids, narrow) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [above, setAbove] = useState(0);

  useLayoutEffect(() => {
    const before = box.current?.previousElementSibling;
    if (!narrow || !before) return undefined;
    const measure = () => setAbove(box.current?.offsetTop ?? 0);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(before);
    return () => observer.disconnect();
  }, [narrow]);

  const scrollMargin = narrow ? above : 0;
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoised by a compiler
  const virtual = useVirtualizer({
    count: ids.length,
    getScrollElement: () => (narrow ? (box.current?.closest(PAGE) ?? null) : box.current),
    estimateSize: () => (narrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT),
    overscan: OVERSCAN,
    getItemKey: (index) => ids[index],
    scrollMargin,
  });
  return {
    box,
    height: virtual.getTotalSize(),
    rows: virtual.getVirtualItems().map(({ index, start }) => ({ index, top: start - scrollMargin })),
    /** @param {number} index */
    reveal: (index) => virtual.scrollToIndex(index, { align: "auto" }),
  };
}
