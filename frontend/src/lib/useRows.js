/**
 * Which rows of a long list exist: those on the screen and a few around them. A list scrolls by itself or, on a phone,
 * with its page, and then begins below whatever stands above it.
 */
import { useLayoutEffect, useRef, useState } from "react";
import { useVirtualizer } from "@tanstack/react-virtual";

const OVERSCAN = 10;
/** What scrolls a page on a phone. */
const PAGE = "[data-scrolls]";

/**
 * @param {number} count
 * @param {(index: number) => string | number} keyOf
 * @param {{ height: number, withPage: boolean }} how height of a row in pixels
 */
export function useRows(count, keyOf, { height, withPage }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [above, setAbove] = useState(0);

  useLayoutEffect(() => {
    const page = box.current?.closest(PAGE);
    if (!withPage || !page) return undefined;
    const measure = () => {
      const from = page.getBoundingClientRect().top - page.scrollTop;
      setAbove(Math.round((box.current?.getBoundingClientRect().top ?? from) - from));
    };
    measure();
    const observer = new ResizeObserver(measure);
    for (const child of page.children) observer.observe(child);
    return () => observer.disconnect();
  }, [withPage]);

  const scrollMargin = withPage ? above : 0;
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing here is memoised by a compiler
  const virtual = useVirtualizer({
    count,
    getScrollElement: () => (withPage ? (box.current?.closest(PAGE) ?? null) : box.current),
    estimateSize: () => height,
    overscan: OVERSCAN,
    getItemKey: keyOf,
    scrollMargin,
  });
  useLayoutEffect(() => virtual.measure(), [virtual, height]);
  return {
    box,
    total: virtual.getTotalSize(),
    rows: virtual.getVirtualItems().map(({ index, start }) => ({ index, top: start - scrollMargin })),
    /** @param {number} index */
    reveal: (index) => virtual.scrollToIndex(index, { align: "auto" }),
  };
}
