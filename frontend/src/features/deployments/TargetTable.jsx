/** The devices of a deployment in the order of their turns: what each is at, why, and what comes next. */
import { useEffect } from "react";
import { Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useKeys } from "../../lib/useKeys";
import { useRows } from "../../lib/useRows";
import { readable } from "../runs/Sentence";
import { TargetMark } from "./Mark";
import { IN_FLIGHT, PHASES } from "./states";
import classes from "./TargetTable.module.css";

const WIDE_ROW = 38;
const NARROW_ROW = 58;
const LOAD_AHEAD = 40;

/**
 * @typedef {object} TargetTableProps
 * @property {import("./states").Target[]} targets
 * @property {string | undefined} openId
 * @property {boolean} narrow two lines a row
 * @property {boolean} more whether there are others after these
 * @property {() => void} onMore
 * @property {(id: string) => void} onOpen
 */

/** @param {TargetTableProps} props */
export function TargetTable({ targets, openId, narrow, more, onMore, onOpen }) {
  const height = narrow ? NARROW_ROW : WIDE_ROW;
  const { box, total, rows, reveal } = useRows(targets.length, (index) => targets[index].id, {
    height,
    withPage: true,
  });
  const last = rows.at(-1)?.index ?? 0;
  const wanted = more && last >= targets.length - LOAD_AHEAD;
  useEffect(() => {
    if (wanted) onMore();
  }, [wanted, onMore]);

  /** @param {1 | -1} by */
  function step(by) {
    const at = targets.findIndex(({ id }) => id === openId);
    const next = at < 0 ? 0 : Math.min(targets.length - 1, Math.max(0, at + by));
    if (!targets[next]) return;
    reveal(next);
    onOpen(targets[next].id);
  }
  useKeys({ j: () => step(1), k: () => step(-1) });

  return (
    <div ref={box} className={classes.scroller}>
      <div
        role="table"
        aria-label="Devices of this deployment"
        aria-rowcount={targets.length}
        className={classes.table}
        style={{ height: total }}
        data-narrow={narrow || undefined}
      >
        {rows.map(({ index, top }) => (
          <Row
            key={targets[index].id}
            target={targets[index]}
            index={index}
            top={top}
            height={height}
            open={targets[index].id === openId}
          />
        ))}
      </div>
    </div>
  );
}

/** @param {{ target: import("./states").Target, index: number, top: number, height: number, open: boolean }} props */
function Row({ target, index, top, height, open }) {
  const why = readable([target.reason, target.next_event].filter(Boolean).join(" · "));
  return (
    <div
      role="row"
      aria-rowindex={index + 1}
      className={classes.row}
      style={{ transform: `translateY(${top}px)`, height }}
      data-testid="target-row"
      data-state={target.state}
      data-open={open || undefined}
    >
      <div role="cell" className={classes.name}>
        <Link
          to="."
          search={(/** @type {any} */ now) => ({ ...now, target: target.id })}
          resetScroll={false}
          replace={open}
          aria-current={open ? "true" : undefined}
        >
          {target.device_name}
        </Link>
      </div>
      <div role="cell" className={classes.wave}>
        Wave {target.wave}
      </div>
      <div role="cell" className={classes.state}>
        {target.attention && (
          <span className={classes.attention} title="Somebody has to look at it: it could not go back.">
            <Icon name="quarantined" size={14} />
            <span className="visually-hidden">Somebody has to look at it</span>
          </span>
        )}
        <TargetMark state={target.state} />
      </div>
      <div role="cell" className={classes.why} title={why}>
        {IN_FLIGHT.has(target.state) && <Progress target={target} />}
        <span className="cut">{why}</span>
      </div>
    </div>
  );
}

/** @param {{ target: import("./states").Target }} props */
export function Progress({ target: { phase, percent, device_name, state } }) {
  return (
    <progress
      className={classes.bar}
      data-rollout={state}
      max="100"
      value={percent ?? undefined}
      aria-label={`Progress of ${device_name}`}
      title={`${phase ? PHASES[phase] : ""}${percent === null ? "" : ` ${percent} %`}`}
    />
  );
}

const WIDTHS = [40, 55, 35, 60, 45, 50, 38];

export function TargetsLoading() {
  return (
    <div className={classes.scroller} role="status" aria-label="Loading the devices of this deployment">
      {WIDTHS.map((width) => (
        <div key={width} className={classes.loading}>
          <Skeleton height={14} width={`${width}%`} />
        </div>
      ))}
    </div>
  );
}
