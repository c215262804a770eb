/** A schedule, new or to be changed: its name, when, what, where; beside it the times that this gives and the button. */
import { useState } from "react";
import { NativeSelect, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Problem } from "../../lib/problem";
import { usePreview as useDeploymentPreview } from "../deployments/wizard/usePreview";
import { useActOff } from "../devices/useActOff";
import { usePreview as useRunPreview } from "../runs/compose/usePreview";
import "../runs/runs.css";
import compose from "../runs/compose/Compose.module.css";
import { NAME_MAX, changeSchedule, createSchedule, previewWhen } from "./api";
import { emptyTiming, problemsOf, timingOf, wantedOf, whenOf } from "./draft";
import { NextTimes } from "./NextTimes";
import { WhenFields } from "./WhenFields";
import { NO_WORK, actionOf, workOf } from "./work";
import { DeploymentFields, DeploymentReach, RunFields, RunReach } from "./WorkFields";
import classes from "./Schedules.module.css";

const TYPED_MS = 300;
const KINDS = [
  { value: "run", label: "Run a command" },
  { value: "deployment", label: "Deploy a release" },
];

/** @param {unknown} error */
const selectorRefused = (error) => (error instanceof Problem && /selector|group/.test(error.code) ? error : null);

/** The next times of what is typed, asked of the server a moment after the last keystroke. @param {import("./draft").Timing} timing */
function useTimes(timing) {
  const wanted = JSON.stringify(whenOf(timing));
  const [asked] = useDebouncedValue(wanted, TYPED_MS);
  const query = useQuery({
    queryKey: ["schedule-preview", asked],
    queryFn: ({ signal }) => previewWhen(JSON.parse(asked), signal),
    enabled: asked !== "null",
    placeholderData: (before) => before,
    retry: false,
  });
  const behind = wanted !== "null" && (asked !== wanted || query.isPlaceholderData || query.isPending);
  return { times: wanted === "null" ? undefined : query.data, error: behind ? null : query.error, behind };
}

/** @param {{ schedule?: import("./api").Schedule, first?: import("./work").Work, onSaved: (schedule: import("./api").Schedule) => void }} props `first`: what a new one begins with */
export function ScheduleForm({ schedule, first = NO_WORK, onSaved }) {
  const queryClient = useQueryClient();
  const [timing, setTiming] = useState(() => (schedule ? timingOf(schedule) : emptyTiming()));
  const [work, setWork] = useState(() => (schedule ? workOf(schedule) : first));
  const [tried, setTried] = useState(false);
  const deploys = work.kind === "deployment";
  const { action, problems: workProblems } = actionOf(work);
  const problems = { ...workProblems, ...problemsOf(timing) };
  const runReach = useRunPreview(deploys ? NO_WORK.run : work.run);
  const deploymentReach = useDeploymentPreview(deploys ? work.deployment : NO_WORK.deployment);
  const reach = deploys ? deploymentReach : runReach;
  const refused = reach.behind ? null : selectorRefused(reach.error);
  const { times, error: whenError, behind } = useTimes(timing);
  const off = useActOff();
  const wanted = wantedOf(timing, action);
  const save = useMutation({
    mutationFn: (/** @type {import("./api").Wanted} */ wanted) =>
      schedule ? changeSchedule(schedule.id, schedule.rev, wanted) : createSchedule(wanted),
    onSuccess: (saved) => {
      void queryClient.invalidateQueries({ queryKey: ["schedules"] });
      onSaved(saved);
    },
  });
  const ready = wanted && !behind && !whenError && !refused;
  const change = (/** @type {Partial<import("./draft").Timing>} */ change) =>
    setTiming((now) => ({ ...now, ...change }));
  const parts = {
    problems: tried ? workProblems : {},
    refused,
    onChange: (/** @type {object} */ change) =>
      setWork((now) => ({ ...now, [now.kind]: { ...now[now.kind], ...change } })),
  };

  /** @param {import("react").FormEvent} event */
  function submit(event) {
    event.preventDefault();
    setTried(true);
    if (ready && !off && !save.isPending) save.mutate(wanted);
  }

  return (
    <form className={compose.form} onSubmit={submit} noValidate>
      <div className={compose.left}>
        <SegmentedControl
          className={classes.kinds}
          aria-label="What it starts"
          data={KINDS}
          value={work.kind}
          onChange={(kind) => setWork((now) => ({ ...now, kind: /** @type {"run" | "deployment"} */ (kind) }))}
        />
        <section className={compose.section} aria-label="When">
          <h2 className={compose.heading}>When</h2>
          <TextInput
            label="Name"
            placeholder={deploys ? "nightly rollout" : "nightly updates"}
            maxLength={NAME_MAX}
            value={timing.name}
            error={tried && problems.name}
            onChange={(event) => change({ name: event.currentTarget.value })}
          />
          <WhenFields
            timing={timing}
            problems={tried ? problems : {}}
            refused={whenError instanceof Problem ? whenError : null}
            onChange={change}
          />
        </section>
        <section className={compose.section} aria-label="If it does not fit">
          <h2 className={compose.heading}>If it does not fit</h2>
          <Rules timing={timing} deploys={deploys} problem={tried ? problems.grace : undefined} onChange={change} />
        </section>
        {deploys ? (
          <DeploymentFields draft={work.deployment} preview={deploymentReach} {...parts} />
        ) : (
          <RunFields draft={work.run} {...parts} />
        )}
      </div>
      <aside className={compose.right} aria-label="Preview">
        <h2 className={compose.heading}>The next times</h2>
        {whenError ? (
          <p className="muted">Mend when it is due; here you see the times that come of it.</p>
        ) : times ? (
          <>
            {times.words && <p className={classes.sentence}>{times.words}</p>}
            <NextTimes items={times.items} />
          </>
        ) : (
          <p className="muted">Say when, and here you see the next ten times.</p>
        )}
        <h2 className={compose.heading}>Whom it would reach now</h2>
        {refused ? (
          <p className="muted">Mend the selector; here you see whom it reaches.</p>
        ) : deploys ? (
          <DeploymentReach draft={work.deployment} state={deploymentReach} />
        ) : (
          <RunReach draft={work.run} state={runReach} />
        )}
        {save.error && <ProblemBox error={save.error} what="It was not saved." />}
        <OffButton
          type="submit"
          off={off}
          fullWidth
          loading={save.isPending || (wanted !== null && behind)}
          leftSection={<Icon name="clock" />}
        >
          {schedule ? "Save the schedule" : "Make the schedule"}
        </OffButton>
        {tried && !ready && Object.keys(problems).length > 0 && (
          <p className={compose.problem} role="alert">
            {Object.values(problems)[0]}
          </p>
        )}
      </aside>
    </form>
  );
}

/** @param {{ timing: import("./draft").Timing, deploys: boolean, problem?: string, onChange: (change: Partial<import("./draft").Timing>) => void }} props */
function Rules({ timing, deploys, problem, onChange }) {
  return (
    <div className={classes.rules}>
      <NativeSelect
        label="If no server was there at a time"
        data={[
          { value: "once", label: "Make up for the last one" },
          { value: "skip", label: "Let it be" },
        ]}
        value={timing.missed}
        onChange={(event) => onChange({ missed: event.currentTarget.value === "skip" ? "skip" : "once" })}
      />
      {timing.missed === "once" && (
        <TextInput
          label="At most so late"
          value={timing.grace}
          error={problem}
          onChange={(event) => onChange({ grace: event.currentTarget.value })}
        />
      )}
      <NativeSelect
        label="If the one before is not over"
        description={
          deploys
            ? "A deployment that paused, or waits for an approval, is not over."
            : "A device that is away holds a run open until the run expires."
        }
        data={[
          { value: "skip", label: "Skip this time" },
          { value: "start", label: "Start beside it" },
        ]}
        value={timing.overlap}
        onChange={(event) => onChange({ overlap: event.currentTarget.value === "start" ? "start" : "skip" })}
      />
    </div>
  );
}
