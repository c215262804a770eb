/** What has to be true before the next wave opens, and what is true now. */
import { useSyncExternalStore } from "react";
import { Icon } from "../../../components/Icon";
import { now, onTick } from "../../../lib/clock";
import { duration } from "../../../lib/time";
import { readable } from "../../runs/Sentence";
import classes from "./Gate.module.css";

/** @typedef {import("../states").Deployment["waves"][number]} Wave */

/** "3 min of soak left", counted down. @param {{ until: string }} props */
function Soak({ until }) {
  const left = useSyncExternalStore(onTick, () => duration(Math.max(0, (Date.parse(until) - now()) / 1000)));
  return (
    <span className={classes.soak}>
      <Icon name="clock" size={12} /> {left} of soak left
    </span>
  );
}

/** @param {Wave} wave @returns {{ state: string, icon: string, word: string }} */
function look({ state, gate }) {
  if (state === "done") return { state: "done", icon: "trusted", word: "Gate passed" };
  if (state === "soaking") return { state: "soaking", icon: "clock", word: "Gate met, soaking" };
  if (state === "held") return { state, icon: "pause", word: "Gate met, held" };
  if (state === "failed") return { state, icon: "close", word: "Gate closed" };
  if (gate.met) return { state: "done", icon: "trusted", word: "Gate met" };
  return { state: state === "open" ? "open" : "waiting", icon: state === "open" ? "pending" : "unknown", word: "Gate" };
}

/** @param {{ wave: Wave }} props */
export function Gate({ wave }) {
  const { state, icon, word } = look(wave);
  return (
    <div
      className={classes.gate}
      data-rollout={state}
      data-testid="gate"
      role="group"
      aria-label={`Gate after wave ${wave.number}`}
      title={readable(wave.gate.sentence)}
    >
      <span className={classes.word}>
        <Icon name={icon} size={14} />
        {word}
        <Icon name="right" size={14} className={classes.way} />
      </span>
      {wave.state !== "waiting" && wave.gate.current && <b className={classes.current}>{wave.gate.current}</b>}
      <span className={classes.condition}>{wave.gate.condition}</span>
      {wave.soak_until && wave.state === "soaking" && <Soak until={wave.soak_until} />}
      {wave.promoted_by && <span className={classes.condition}>opened early by {wave.promoted_by}</span>}
    </div>
  );
}
