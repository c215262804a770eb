/** The waves from left to right, the gate of each between it and the next; on a phone one below the other. */
import { Fragment, memo, useMemo } from "react";
import { plural } from "../../../lib/text";
import { byWave } from "../merge";
import { CELLS_MOST } from "../useDeployments";
import { Gate } from "./Gate";
import { Lane } from "./Lane";
import classes from "./Lanes.module.css";

/**
 * @param {{ deployment: import("../states").Deployment, targets: import("../states").Target[] | undefined, openId: string | undefined, onOpen: (id: string) => void }} props
 * `targets`: all of them, or undefined while they are on their way or where they are too many for a cell each
 */
function AllLanes({ deployment, targets, openId, onOpen }) {
  const { waves, total } = deployment;
  const cells = useMemo(() => targets && byWave(targets), [targets]);
  const small = total > 120;
  return (
    <div
      className={classes.scroller}
      role="region"
      aria-label={`${plural(waves.length, "wave")} of this deployment`}
      tabIndex={waves.length > 4 ? 0 : undefined} // it scrolls sideways
    >
      <div className={classes.lanes} data-testid="lanes">
        {waves.map((wave, index) => (
          <Fragment key={wave.number}>
            <Lane
              wave={wave}
              targets={total > CELLS_MOST ? null : cells?.get(wave.number)}
              loading={total <= CELLS_MOST && !cells}
              small={small}
              openId={openId}
              onOpen={onOpen}
            />
            {index < waves.length - 1 && <Gate wave={wave} />}
          </Fragment>
        ))}
      </div>
    </div>
  );
}

export const Lanes = memo(AllLanes);
