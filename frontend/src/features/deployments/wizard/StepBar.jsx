/** The four steps: where one is, and the way back to each that was passed. */
import { Icon } from "../../../components/Icon";
import { STEPS } from "./draft";
import classes from "./Wizard.module.css";

/** @typedef {import("./draft").Step} Step */

/** @type {Record<Step, string>} */
export const STEP_WORDS = { release: "Release", targets: "Devices", waves: "Waves", confirm: "Confirm" };

/** @param {{ step: Step, open: Step | null, onGo: (step: Step) => void }} props `open`: the first step that something is missing at */
export function StepBar({ step, open, onGo }) {
  const reach = open === null ? STEPS.length - 1 : STEPS.indexOf(open);
  return (
    <ol className={classes.steps} aria-label="Steps">
      {STEPS.map((each, index) => {
        const done = index < reach && each !== step;
        return (
          <li key={each} className={classes.step}>
            <button
              type="button"
              className={classes.stepButton}
              aria-current={each === step ? "step" : undefined}
              disabled={index > reach && each !== step}
              onClick={() => onGo(each)}
            >
              <span className={classes.number} data-done={done || undefined}>
                {done ? <Icon name="trusted" size={12} /> : index + 1}
              </span>
              {STEP_WORDS[each]}
            </button>
          </li>
        );
      })}
    </ol>
  );
}
