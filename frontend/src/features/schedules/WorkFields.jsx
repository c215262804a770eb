/** What a schedule does, and where: the fields of a run or of a deployment, as their own pages have them. */
import { LeftOut, Reached, Warnings, reachWords } from "../deployments/wizard/Reached";
import { ReleaseStep } from "../deployments/wizard/ReleaseStep";
import { TargetsBox } from "../deployments/wizard/TargetsStep";
import { Waves, WavesBox } from "../deployments/wizard/WavesStep";
import { courseWords } from "../deployments/wizard/words";
import { Advanced } from "../runs/compose/Advanced";
import { Preview } from "../runs/compose/Preview";
import { What } from "../runs/compose/What";
import { Where } from "../runs/compose/Where";
import wizard from "../deployments/wizard/Wizard.module.css";
import compose from "../runs/compose/Compose.module.css";

/** @param {import("../runs/compose/What").PartProps & { refused: import("../../lib/problem").Problem | null }} props */
export function RunFields({ refused, ...parts }) {
  return (
    <>
      <section className={compose.section} aria-label="What">
        <h2 className={compose.heading}>What</h2>
        <What {...parts} />
      </section>
      <section className={compose.section} aria-label="Where">
        <h2 className={compose.heading}>Where</h2>
        <Where {...parts} refused={refused} />
      </section>
      <section className={compose.section} aria-label="How">
        <Advanced {...parts} />
      </section>
    </>
  );
}

/** @param {import("../deployments/wizard/Wizard").StepProps} props */
export function DeploymentFields(props) {
  return (
    <>
      <ReleaseStep {...props} />
      <TargetsBox {...props} />
      <WavesBox {...props} />
    </>
  );
}

/** @param {{ draft: import("../runs/compose/draft").Draft, state: ReturnType<typeof import("../runs/compose/usePreview").usePreview> }} props */
export const RunReach = ({ draft, state }) => <Preview state={state} expires={draft.expires} />;

/** @param {{ draft: import("../deployments/wizard/draft").Draft, state: import("../deployments/wizard/usePreview").PreviewState }} props */
export function DeploymentReach({ draft, state }) {
  const { preview, error, behind } = state;
  if (!preview || (error && !behind)) return <Reached state={state} />;
  return (
    <div className={wizard.reached} data-testid="preview" aria-busy={behind}>
      <p className={wizard.words} role="status">
        {reachWords(preview)}
      </p>
      <Warnings preview={preview} />
      {preview.waves.length > 1 && <Waves preview={preview} />}
      {preview.total > 0 && <p className="muted">{courseWords(draft, preview)}</p>}
      {preview.needs_approval && (
        <p className="muted">Each time it waits until a second person has approved exactly that plan.</p>
      )}
      <LeftOut preview={preview} />
    </div>
  );
}
