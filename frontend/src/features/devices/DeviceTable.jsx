/** The list of devices: only the rows on the screen exist. */
import { useMemo, useState } from "react";
import { useKeys } from "../../lib/useKeys";
import { useRows } from "../../lib/useRows";
import { DeviceRow } from "./DeviceRow";
import { extend, selectAll, toggle, NOTHING } from "./selection";
import { TableHead } from "./TableHead";
import { useColumns } from "./useColumns";
import classes from "./DeviceTable.module.css";

const ROW_HEIGHT = 38;
const NARROW_ROW_HEIGHT = 60;
const CHECK_WIDTH = 40;
const NARROW_COLUMNS = ["name", "seen", "status"];

/**
 * @typedef {object} TableProps
 * @property {import("./view").View} view
 * @property {(change: Partial<import("./view").View>) => void} onChange
 * @property {{ ids: number[], moved: ReadonlySet<number> }} order
 * @property {import("./selection").Selection} selection
 * @property {(next: import("./selection").Selection) => void} onSelect
 * @property {number | null} openId
 * @property {(id: number) => void} onOpen
 * @property {() => void} onEscape
 * @property {boolean} narrow
 */

/** @param {TableProps} props */
export function DeviceTable({ view, onChange, order, selection, onSelect, openId, onOpen, onEscape, narrow }) {
  const { ids, moved } = order;
  const { table, columns: wide, widths, tagRoom } = useColumns(view, onChange);
  const columns = useStable(narrow ? NARROW_COLUMNS : wide);
  const [current, setCurrent] = useState(/** @type {number | null} */ (null));
  const height = narrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
  const { box, total, rows, reveal } = useRows(ids.length, (index) => ids[index], { height, withPage: narrow });

  /** @param {number} by */
  function step(by) {
    if (ids.length === 0) return;
    const at = current === null ? -1 : ids.indexOf(current);
    const next = at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by));
    reveal(next);
    setCurrent(ids[next]);
  }

  useKeys({
    j: () => step(1),
    k: () => step(-1),
    x: () => current !== null && onSelect(toggle(selection, current)),
    "Shift+x": () => current !== null && onSelect(extend(selection, current, ids)),
    Escape: () => (selection.ids.size > 0 ? onSelect(NOTHING) : onEscape()),
  });

  /** One listener for all rows. @param {import("react").MouseEvent<HTMLDivElement>} event */
  function onClick(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const row = /** @type {HTMLElement | null} */ (target.closest("[data-device-id]"));
    if (!row || event.ctrlKey || event.metaKey || event.button !== 0) return;
    const id = Number(row.dataset.deviceId);
    if (target.closest("input") || target.closest('[role="cell"]')?.classList.contains(classes.check)) {
      onSelect(event.shiftKey ? extend(selection, id, ids) : toggle(selection, id));
      setCurrent(null);
      return;
    }
    if (getSelection()?.toString() && !target.closest("a")) return; // somebody marks text to copy it
    event.preventDefault();
    setCurrent(id);
    onOpen(id);
  }

  const template = [`${CHECK_WIDTH}px`, ...widths.map(({ track }) => track)];
  const minWidth = CHECK_WIDTH + widths.reduce((sum, { least }) => sum + least, 0);
  const all = ids.length > 0 && selection.ids.size >= ids.length && ids.every((id) => selection.ids.has(id));
  return (
    <div ref={box} className={classes.scroller} data-narrow={narrow || undefined}>
      {/* Rows hold links and checkboxes that the keyboard reaches; this listener only saves one per row. */}
      {/* eslint-disable-next-line jsx-a11y-x/click-events-have-key-events, jsx-a11y-x/no-noninteractive-element-interactions */}
      <div
        role="table"
        aria-label="Devices"
        aria-rowcount={ids.length + 1}
        className={classes.table}
        style={narrow ? undefined : /** @type {any} */ ({ "--columns": template.join(" "), minWidth })}
        onClick={onClick}
      >
        <TableHead
          table={table}
          sort={view.sort}
          onSort={(sort) => onChange({ sort })}
          all={all}
          some={selection.ids.size > 0}
          onAll={() => onSelect(all ? NOTHING : selectAll(ids))}
        />
        <div role="rowgroup" className={classes.body} style={{ height: total }}>
          {rows.map(({ index, top }) => {
            const id = ids[index];
            return (
              <DeviceRow
                key={id}
                id={id}
                index={index}
                top={top}
                columns={columns}
                tagRoom={tagRoom}
                narrow={narrow}
                selected={selection.ids.has(id)}
                moved={moved.has(id)}
                current={id === current}
                open={id === openId}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

/** The same array while it holds the same names, so that rows need not render again. @param {string[]} names */
function useStable(names) {
  const text = names.join(",");
  return useMemo(() => text.split(","), [text]);
}
