/** A state by colour and icon and word: of a deployment, of a device in it, or of a wave. */
import { Icon } from "../../components/Icon";
import { DEPLOYMENT_STATES, TARGET_STATES, WAVE_STATES } from "./states";
import classes from "./Mark.module.css";

/** @param {{ state: string, icon: string, word: string, meaning?: string }} props */
const Mark = ({ state, icon, word, meaning }) => (
  <span className={classes.mark} data-rollout={state} title={meaning}>
    <Icon name={icon} size={14} />
    {word}
  </span>
);

/** @param {{ state: import("./states").DeploymentState }} props */
export const DeploymentMark = ({ state }) => <Mark state={state} {...DEPLOYMENT_STATES[state]} />;

/** @param {{ state: import("./states").TargetState }} props */
export const TargetMark = ({ state }) => <Mark state={state} {...TARGET_STATES[state]} />;

/** @param {{ state: import("./states").WaveState }} props */
export const WaveMark = ({ state }) => <Mark state={state} {...WAVE_STATES[state]} />;
