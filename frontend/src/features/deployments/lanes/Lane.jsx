/** One wave: how far it is, a cell for each of its devices or a bar, and counts that lead to exactly those devices. */
import { Link } from "@tanstack/react-router";
import { Skeleton } from "@mantine/core";
import { Icon } from "../../../components/Icon";
import { formatCount } from "../../../lib/text";
import { WaveMark } from "../Mark";
import { TARGET_STATES, settledIn, statesOf } from "../states";
import { TargetBar } from "../TargetBar";
import { Cells } from "./Cells";
import classes from "./Lanes.module.css";

/** What "50%" adds to "Wave 2"; a count of the wave itself would say it twice. @param {string} label */
const upTo = (label) => (label.endsWith("%") ? `up to ${label.replace("%", " %")}` : "");

/**
 * @param {{ wave: import("../states").Deployment["waves"][number], targets: import("../states").Target[] | null | undefined, loading: boolean, small: boolean, openId: string | undefined, onOpen: (id: string) => void }} props
 * `targets` is null where the devices have no cell of their own
 */
export function Lane({ wave, targets, loading, small, openId, onOpen }) {
  const { number, label, state, total, counts } = wave;
  return (
    <section
      className={classes.lane}
      data-rollout={state}
      data-testid="lane"
      data-state={state}
      aria-label={`Wave ${number}`}
      style={{ flexGrow: Math.max(1, Math.sqrt(total) / 2) }}
    >
      <div className={classes.head}>
        <h2 className={classes.name}>Wave {number}</h2>
        <WaveMark state={state} />
      </div>
      <p className={classes.far}>
        <b>{formatCount(settledIn(counts))}</b> of {formatCount(total)} done
        {upTo(label) && <span className="muted"> · {upTo(label)}</span>}
      </p>
      {targets ? (
        <Cells targets={targets} small={small} openId={openId} onOpen={onOpen} />
      ) : loading ? (
        <Skeleton height={small ? 48 : 24} />
      ) : (
        <TargetBar counts={counts} thick />
      )}
      <ul className={classes.counts}>
        {statesOf(counts).map((each) => (
          <li key={each}>
            <Link
              to="."
              search={(/** @type {any} */ now) => ({ ...now, state: each, wave: String(number), view: undefined })}
              resetScroll={false}
              replace
              className={classes.count}
              data-rollout={each}
              title={TARGET_STATES[each].meaning}
            >
              <span className={classes.icon}>
                <Icon name={TARGET_STATES[each].icon} size={13} />
              </span>
              <b>{formatCount(counts[each])}</b> {TARGET_STATES[each].word.toLowerCase()}
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
