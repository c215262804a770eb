/** The heads of the columns: sort by a click, size by dragging the edge or with the arrow keys on it. */
import { Icon } from "../../components/Icon";
import { columnOf } from "./columns";
import classes from "./DeviceTable.module.css";

const KEY_STEP = 16;

/**
 * @param {{ table: any, sort: import("./view").View["sort"], onSort: (sort: import("./view").View["sort"]) => void, all: boolean, some: boolean, onAll: () => void }} props
 */
export function TableHead({ table, sort, onSort, all, some, onAll }) {
  return (
    <div role="rowgroup" className={classes.head}>
      <div role="row" className={classes.headRow} aria-rowindex={1}>
        <div role="columnheader" className={classes.check}>
          <input
            type="checkbox"
            aria-label="Select all that match"
            checked={all}
            ref={(box) => {
              if (box) box.indeterminate = some && !all;
            }}
            onChange={onAll}
          />
        </div>
        {table.getHeaderGroups()[0].headers.map((/** @type {any} */ header) => (
          <Head key={header.id} header={header} table={table} sort={sort} onSort={onSort} />
        ))}
      </div>
    </div>
  );
}

/** @param {{ header: any, table: any, sort: import("./view").View["sort"], onSort: (sort: import("./view").View["sort"]) => void }} props */
function Head({ header, table, sort, onSort }) {
  const id = header.column.id;
  const label = columnOf(id)?.label ?? id;
  const sorted = sort.column === id;
  const direction = sort.descending ? "descending" : "ascending";

  /** What is dragged must not move what is beside it: every column keeps the width it has now. @param {any} event */
  function startSizing(event) {
    const cells = event.currentTarget.closest('[role="row"]').querySelectorAll("[data-column]");
    table.setColumnSizing(
      Object.fromEntries([...cells].map((cell) => [cell.dataset.column, Math.round(cell.offsetWidth)])),
    );
    header.getResizeHandler()(event);
  }

  /** @param {import("react").KeyboardEvent<HTMLElement>} event */
  function sizeByKey(event) {
    const step = { ArrowLeft: -KEY_STEP, ArrowRight: KEY_STEP }[event.key];
    if (!step) return;
    event.preventDefault();
    const size = Math.max(
      header.column.columnDef.minSize,
      (event.currentTarget.parentElement?.offsetWidth ?? header.getSize()) + step,
    );
    table.setColumnSizing((/** @type {Record<string, number>} */ now) => ({ ...now, [id]: size }));
  }

  return (
    <div role="columnheader" className={classes.headCell} aria-sort={sorted ? direction : "none"} data-column={id}>
      <button
        type="button"
        className={classes.sort}
        onClick={() => onSort({ column: id, descending: sorted ? !sort.descending : false })}
      >
        <span className="cut">{label}</span>
        {sorted && <Icon name={sort.descending ? "down" : "up"} size={12} />}
      </button>
      {/* A separator that can be moved is a control; the rule knows only the one that cannot. */}
      {/* eslint-disable-next-line jsx-a11y-x/no-noninteractive-element-interactions */}
      <span
        className={classes.grip}
        role="separator"
        aria-orientation="vertical"
        aria-label={`Width of ${label}`}
        aria-valuenow={header.getSize()}
        aria-valuemin={header.column.columnDef.minSize}
        aria-valuemax={800}
        // eslint-disable-next-line jsx-a11y-x/no-noninteractive-tabindex
        tabIndex={0}
        data-active={header.column.getIsResizing() || undefined}
        onMouseDown={startSizing}
        onTouchStart={startSizing}
        onDoubleClick={() => header.column.resetSize()}
        onKeyDown={sizeByKey}
      />
    </div>
  );
}
