/**
 * From a release to a deployment in four steps. All that is chosen stands in the address, so every step is one that the
 * browser's own way back undoes, and a reload or a link keeps it.
 *
 * @typedef {object} StepProps
 * @property {import("./draft").Draft} draft
 * @property {import("./draft").Problems} problems those of this step, once somebody tried to go on
 * @property {import("../../../lib/problem").Problem | null} refused what the server says of the selector
 * @property {import("./usePreview").PreviewState} preview
 * @property {(change: Partial<import("./draft").Draft>) => void} onChange
 */
import { useRef, useState } from "react";
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ConfirmDialog, TYPE_ABOVE } from "../../../components/ConfirmDialog";
import { Icon } from "../../../components/Icon";
import { OffButton } from "../../../components/OffButton";
import { ProblemBox } from "../../../components/ProblemBox";
import { Problem } from "../../../lib/problem";
import { plural } from "../../../lib/text";
import { useActOff } from "../../devices/useActOff";
import { newKey } from "../../runs/keys";
import { startDeployment } from "../api";
import { ConfirmStep } from "./ConfirmStep";
import { STEPS, firstOpen, problemsAt, problemsOf, requestOf, searchOf } from "./draft";
import { ReleaseStep } from "./ReleaseStep";
import { StepBar } from "./StepBar";
import { TargetsStep } from "./TargetsStep";
import { usePreview } from "./usePreview";
import { WavesStep } from "./WavesStep";
import { installWords } from "./words";
import classes from "./Wizard.module.css";

const PAGES = { release: ReleaseStep, targets: TargetsStep, waves: WavesStep, confirm: ConfirmStep };

/** The server's word on the selector belongs under its field. @param {unknown} error */
const refusalOf = (error) => (error instanceof Problem && /selector|group/.test(error.code) ? error : null);

/**
 * @param {{ draft: import("./draft").Draft, step: import("./draft").Step, onChange: (change: Partial<import("./draft").Draft>) => void, onGo: (step: import("./draft").Step) => void, onStarted: (id: string) => void }} props
 */
export function Wizard({ draft, step, onChange, onGo, onStarted }) {
  const [tried, setTried] = useState(false);
  const problems = problemsOf(draft);
  const here = problemsAt(problems, step);
  const preview = usePreview(draft);
  const refused = preview.behind ? null : refusalOf(preview.error);
  const at = STEPS.indexOf(step);
  const Page = PAGES[step];
  const stuck = step === "targets" && (refused !== null || preview.preview?.total === 0);

  function go() {
    setTried(true);
    if (Object.keys(here).length > 0 || stuck) return;
    setTried(false);
    onGo(STEPS[at + 1]);
  }

  return (
    <form
      className={classes.wizard}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (step !== "confirm") go();
      }}
    >
      <StepBar step={step} open={firstOpen(problems)} onGo={onGo} />
      <Page draft={draft} problems={tried ? here : {}} refused={refused} preview={preview} onChange={onChange} />
      <div className={classes.foot}>
        {at > 0 && (
          <Button variant="default" leftSection={<Icon name="left" size={14} />} onClick={() => onGo(STEPS[at - 1])}>
            Back
          </Button>
        )}
        {tried && Object.keys(here).length > 0 && (
          <p className={classes.problem} role="alert">
            {Object.values(here)[0]}
          </p>
        )}
        {step === "confirm" ? (
          <>
            <Start draft={draft} preview={preview} ready={firstOpen(problems) === null} onStarted={onStarted} />
            <Link to="/schedules/new" search={/** @type {any} */ ({ ...searchOf(draft), kind: "deployment" })}>
              Start it later, or again and again
            </Link>
          </>
        ) : (
          <Button
            type="submit"
            rightSection={<Icon name="right" size={14} />}
            loading={step === "targets" && preview.behind}
          >
            Next
          </Button>
        )}
      </div>
    </form>
  );
}

/**
 * @param {{ draft: import("./draft").Draft, preview: import("./usePreview").PreviewState, ready: boolean, onStarted: (id: string) => void }} props
 */
function Start({ draft, preview: { preview, error, behind }, ready, onStarted }) {
  const [asking, setAsking] = useState(false);
  const acting = useActOff();
  const key = useRef({ of: "", key: "" });
  const start = useMutation({
    mutationFn: () => {
      const body = requestOf(draft);
      const of = JSON.stringify(body);
      if (key.current.of !== of) key.current = { of, key: newKey() };
      return startDeployment(body, key.current.key);
    },
    onSuccess: ({ id }) => {
      key.current = { of: "", key: "" };
      onStarted(id);
    },
    onSettled: () => setAsking(false),
  });
  const total = preview?.total ?? 0;
  const off =
    acting ?? (!ready || total === 0 || error ? "There is nothing to start: look at the steps before." : null);
  const words = preview?.needs_approval
    ? `Ask for approval on ${plural(total, "device")}`
    : `Deploy to ${plural(total, "device")}`;
  return (
    <>
      {start.error && <ProblemBox error={start.error} what="Nothing was started." />}
      <OffButton
        off={off}
        loading={start.isPending || behind}
        leftSection={<Icon name="deploy" />}
        data-testid="start-deployment"
        onClick={() => (total > TYPE_ABOVE ? setAsking(true) : start.mutate())}
      >
        {total > 0 ? words : "Deploy"}
      </OffButton>
      <ConfirmDialog
        opened={asking}
        title={words}
        action={words}
        count={total}
        color="accent"
        busy={start.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => start.mutate()}
      >
        <p className={classes.words}>{preview && installWords(preview)}</p>
      </ConfirmDialog>
    </>
  );
}
