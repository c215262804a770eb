/**
 * TanStack Table for the columns alone: which are there, how wide. Rows and their order are `order.js`'s. A column that
 * nobody sized gives way a little where there is less room and grows where there is more.
 */
import { useEffect, useMemo, useRef } from "react";
import {
  columnResizingFeature,
  columnSizingFeature,
  columnVisibilityFeature,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { COLUMNS } from "./columns";

const features = tableFeatures({ columnSizingFeature, columnResizingFeature, columnVisibilityFeature });
const definitions = COLUMNS.map(({ id, label, size, minSize }) => ({ id, header: label, size, minSize, maxSize: 800 }));
const GIVES_WAY = 0.85;
const TAG_WIDTH = 64;
/** @type {never[]} */
const NO_ROWS = [];

/** @param {import("./view").View} view @param {(change: Partial<import("./view").View>) => void} onChange */
export function useColumns(view, onChange) {
  const columnVisibility = useMemo(
    () => Object.fromEntries(COLUMNS.map(({ id }) => [id, view.columns.includes(id)])),
    [view.columns],
  );
  const table = useTable({
    features,
    columns: /** @type {any} */ (definitions),
    data: NO_ROWS,
    columnResizeMode: "onChange",
    initialState: { columnSizing: view.widths },
    state: { columnVisibility },
  });

  // While a column is dragged its width is the table's; when it is let go it goes into the address.
  const { columnSizing, columnResizing } = table.state;
  const dragging = Boolean(columnResizing.isResizingColumn);
  const written = useRef(columnSizing);
  useEffect(() => {
    if (dragging || written.current === columnSizing) return;
    written.current = columnSizing;
    onChange({ widths: columnSizing });
  }, [dragging, columnSizing, onChange]);

  const setSizing = table.setColumnSizing;
  const shown = useRef(view.widths);
  useEffect(() => {
    if (sameWidths(shown.current, view.widths)) return;
    shown.current = view.widths;
    if (sameWidths(view.widths, written.current)) return;
    written.current = view.widths;
    setSizing(view.widths);
  }, [view.widths, setSizing]);

  const columns = table.getVisibleLeafColumns();
  const widths = columns.map((/** @type {any} */ column, /** @type {number} */ index) => {
    const size = column.getSize();
    if (columnSizing[column.id] === undefined) {
      const least = Math.floor(size * GIVES_WAY);
      return { least, track: `minmax(${least}px, ${size}fr)` };
    }
    return { least: size, track: index === columns.length - 1 ? `minmax(${size}px, 1fr)` : `${size}px` };
  });
  const tagRoom = Math.max(1, Math.floor(((columnSizing.tags ?? 0) - TAG_WIDTH / 2) / TAG_WIDTH));
  return { table, columns: columns.map((/** @type {any} */ { id }) => id), widths, tagRoom };
}

/** @param {Record<string, number>} a @param {Record<string, number>} b */
const sameWidths = (a, b) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());
