/** The devices of a deployment in the order of their turns: what each is at, why, and what comes next. */
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { LongTable, LongTableLoading } from "../../components/LongTable";
import { readable } from "../runs/Sentence";
import { TargetMark } from "./Mark";
import { IN_FLIGHT, PHASES } from "./states";
import classes from "./TargetTable.module.css";

/** @typedef {import("../../components/LongTable").LongTableProps<import("./states").Target>} TableProps */

/** @param {Pick<TableProps, "openId" | "narrow" | "more" | "onMore" | "onOpen"> & { targets: import("./states").Target[] }} props */
export function TargetTable({ targets, ...props }) {
  return (
    <LongTable label="Devices of this deployment" items={targets} rowClass={classes.row} testId="target-row" {...props}>
      {(target, open) => ({
        name: (
          <Link
            to="."
            search={(/** @type {any} */ now) => ({ ...now, target: target.id })}
            resetScroll={false}
            replace={open}
            aria-current={open ? "true" : undefined}
          >
            {target.device_name}
          </Link>
        ),
        cells: <Cells target={target} />,
      })}
    </LongTable>
  );
}

/** @param {{ target: import("./states").Target }} props */
function Cells({ target }) {
  const why = readable([target.reason, target.next_event].filter(Boolean).join(" · "));
  return (
    <>
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
    </>
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

export const TargetsLoading = () => <LongTableLoading label="Loading the devices of this deployment" />;
