/** One row. It renders when its device, its place or its marks change, and at no other time. */
import { memo, useEffect, useRef } from "react";
import { useDevice, usePending } from "../../live";
import { CELLS } from "./cells";
import classes from "./DeviceTable.module.css";

/**
 * @param {{ id: number, index: number, top: number, columns: string[], tagRoom: number, narrow: boolean, selected: boolean, moved: boolean, current: boolean, open: boolean }} props
 * `tagRoom` is how many tags fit into their column, `current` is where the keyboard is, `open` is the device shown beside the list
 */
function Row({ id, index, top, columns, tagRoom, narrow, selected, moved, current, open }) {
  const device = useDevice(id);
  const pending = usePending(id);
  const name = useRef(/** @type {HTMLAnchorElement | null} */ (null));

  useEffect(() => {
    if (current) name.current?.focus({ preventScroll: true });
  }, [current]);

  if (!device) return null;
  return (
    <div
      className={classes.row}
      style={{ transform: `translateY(${top}px)` }}
      role="row"
      aria-rowindex={index + 2}
      data-testid="device-row"
      data-device-id={id}
      data-status={device.status}
      data-trust={device.trust}
      data-selected={selected || undefined}
      data-moved={moved || undefined}
      data-open={open || undefined}
    >
      <div role="cell" className={classes.check}>
        <input type="checkbox" checked={selected} readOnly aria-label={`Select ${device.device_name}`} />
      </div>
      {columns.map((column) => (
        <div key={column} role="cell" className={classes.cell} data-column={column}>
          {column === "name" ? (
            <a ref={name} href={`/devices/${id}`} className={classes.name} aria-current={open ? "true" : undefined}>
              {device.device_name}
              {pending && <span className="muted"> (saving…)</span>}
              {moved && <span className={classes.changed} title="Changed since the list was sorted" />}
            </a>
          ) : (
            CELLS[column](device, tagRoom)
          )}
        </div>
      ))}
      {narrow && <span className={classes.chevron} aria-hidden="true" />}
    </div>
  );
}

export const DeviceRow = memo(Row);
