/** What is about to happen, in a plain sentence, and who is left out and why. */
import { Skeleton, Stack } from "@mantine/core";
import { Icon } from "../../../components/Icon";
import { ProblemBox } from "../../../components/ProblemBox";
import { formatCount } from "../../../lib/text";
import { LeftOut, PlannedTable, Warnings } from "./Reached";
import { Waves } from "./WavesStep";
import { courseWords, installWords } from "./words";
import classes from "./Wizard.module.css";

/** @param {import("./Wizard").StepProps} props */
export function ConfirmStep({ draft, preview: { preview, error, behind, retry } }) {
  if (error && !behind)
    return <ProblemBox error={error} what="This cannot be deployed as it stands." onRetry={retry} />;
  if (!preview) {
    return (
      <Stack gap={8} role="status" aria-label="Looking whom it reaches">
        <Skeleton height={24} width="70%" />
        <Skeleton height={16} width="90%" />
        <Skeleton height={140} />
      </Stack>
    );
  }
  const { needs_approval, approval_above, release, total } = preview;
  return (
    <div className={classes.confirm} data-testid="confirm" aria-busy={behind}>
      <section className={classes.box} aria-label="What happens">
        <p className={classes.sentence} data-testid="sentence">
          {total === 0 ? "This reaches no device." : installWords(preview)}
        </p>
        {total > 0 && <p className={classes.words}>{courseWords(draft, preview)}</p>}
        <p className={classes.signed}>
          <Icon name="key" size={14} />
          {release.signatures > 0
            ? `The release carries ${formatCount(release.signatures)} ${release.signatures === 1 ? "signature" : "signatures"}. Each device checks them against the keys that it trusts.`
            : "The release is not signed. Devices whose policy asks for signatures refuse it."}
        </p>
        {needs_approval && (
          <p className={classes.approval} data-testid="needs-approval">
            <Icon name="person" size={14} /> It reaches more than {formatCount(approval_above)} devices, so it waits
            until a second person has approved exactly this plan.
          </p>
        )}
        <Warnings preview={preview} />
        {preview.waves.length > 1 && <Waves preview={preview} />}
      </section>
      <div className={classes.two}>
        {total > 0 && (
          <div className={classes.box}>
            <PlannedTable preview={preview} />
          </div>
        )}
        {preview.excluded_total > 0 && (
          <div className={classes.box}>
            <LeftOut preview={preview} />
          </div>
        )}
      </div>
    </div>
  );
}
