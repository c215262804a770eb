/** How: waves, gates, what happens when devices fail, and for those who want more also when and in which order. */
import { Button, Checkbox, NativeSelect, SegmentedControl, TextInput } from "@mantine/core";
import { ProblemBox } from "../../../components/ProblemBox";
import { formatCount, plural } from "../../../lib/text";
import { DAYS, localZone } from "./draft";
import classes from "./Wizard.module.css";

const PRESETS = [
  { label: "Careful", waves: "1, 10%, 50%, 100%" },
  { label: "Two halves", waves: "50%, 100%" },
  { label: "All at once", waves: "100%" },
];
const DAY_WORDS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const ON_FAILURE = [
  { value: "pause", label: "Pause" },
  { value: "roll_back", label: "Roll back" },
];
const OFFLINE = [
  { value: "wait", label: "gets it when it is back" },
  { value: "skip", label: "is left out after" },
  { value: "fail", label: "counts as failed after" },
];
const ORDER = [
  { value: "name", label: "by name" },
  { value: "random", label: "at random" },
  { value: "tag", label: "by a tag" },
];

/** @param {import("./Wizard").StepProps} props */
export function WavesStep(props) {
  const { refused, preview } = props;
  return (
    <div className={classes.two}>
      <WavesBox {...props} />
      <aside className={classes.box} aria-label="The waves">
        <h2 className={classes.heading}>What that makes</h2>
        {refused ? (
          <p className="muted">The selector has to be mended first.</p>
        ) : preview.error && !preview.behind ? (
          <ProblemBox error={preview.error} what="This cannot be deployed as it stands." onRetry={preview.retry} />
        ) : (
          preview.preview && <Waves preview={preview.preview} />
        )}
      </aside>
    </div>
  );
}

/** @param {Pick<import("./Wizard").StepProps, "draft" | "problems" | "onChange">} props */
export function WavesBox({ draft, problems, onChange }) {
  /** @param {keyof import("./draft").Draft} name */
  const field = (name) => ({
    value: String(draft[name]),
    error: problems[name],
    autoComplete: "off",
    onChange: (/** @type {import("react").ChangeEvent<HTMLInputElement>} */ event) =>
      onChange({ [name]: event.currentTarget.value }),
  });
  return (
    <section className={classes.box} aria-label="How">
      <h2 className={classes.heading}>In which waves</h2>
      <TextInput
        {...field("waves")}
        label="Waves"
        description="How many devices have had their turn after each wave: counts or percentages."
        classNames={{ input: classes.mono }}
      />
      <div className={classes.chips} role="group" aria-label="Usual waves">
        {PRESETS.map(({ label, waves }) => (
          <Button key={label} size="compact-xs" variant="default" onClick={() => onChange({ waves })}>
            {label}
          </Button>
        ))}
      </div>
      <div className={classes.fields}>
        <TextInput
          {...field("healthy")}
          label="Gate"
          description="Per cent of a wave that are healthy; empty: all are over."
          placeholder="95"
          inputMode="decimal"
        />
        <TextInput {...field("soak")} label="Soak" description="How long the gate has to stay met." placeholder="0 s" />
        <TextInput
          {...field("fails")}
          label="How many may fail"
          description="A count of all, or a percentage of each wave."
        />
        <div>
          <span className={classes.fieldLabel} id="on-failure">
            When more fail
          </span>
          <SegmentedControl
            aria-labelledby="on-failure"
            data={ON_FAILURE}
            value={draft.onFailure}
            onChange={(onFailure) => onChange({ onFailure: /** @type {any} */ (onFailure) })}
          />
        </div>
      </div>
      <details className={classes.more} open={moreProblem(problems)}>
        <summary>How many at once, who is offline, order, window, deadline</summary>
        <div className={classes.fields}>
          <TextInput
            {...field("parallel")}
            label="At once"
            description="At most so many devices; empty: as many as the wave has."
            inputMode="numeric"
          />
          <NativeSelect
            label="Who is offline"
            description="When it is the device's turn."
            data={OFFLINE}
            value={draft.offline}
            onChange={(event) => onChange({ offline: /** @type {any} */ (event.currentTarget.value) })}
          />
          {draft.offline !== "wait" && <TextInput {...field("away")} label="After" description="A duration." />}
          <NativeSelect
            label="Order"
            description="Who comes first."
            data={ORDER}
            value={draft.order}
            onChange={(event) => onChange({ order: /** @type {any} */ (event.currentTarget.value) })}
          />
          {draft.order === "tag" && (
            <TextInput {...field("tag")} label="Tag" description="Those without it come last." placeholder="ring" />
          )}
          <TextInput
            {...field("deadline")}
            label="Deadline"
            description="After so long nothing is started any more."
            placeholder="none"
          />
        </div>
        <Checkbox
          mt="sm"
          label="Start something only in a window"
          checked={draft.days !== ""}
          onChange={(event) =>
            onChange(
              event.currentTarget.checked
                ? { days: "mon,tue,wed,thu,fri", zone: draft.zone || localZone() }
                : { days: "" },
            )
          }
        />
        {draft.days !== "" && (
          <>
            <Checkbox.Group
              mt="sm"
              label="Days"
              value={draft.days.split(",")}
              onChange={(days) => onChange({ days: DAYS.filter((day) => days.includes(day)).join(",") })}
            >
              <div className={classes.days}>
                {DAYS.map((day, index) => (
                  <Checkbox key={day} value={day} label={DAY_WORDS[index]} size="xs" />
                ))}
              </div>
            </Checkbox.Group>
            <div className={classes.fields}>
              <TextInput {...field("begin")} type="time" label="Opens" />
              <TextInput {...field("end")} type="time" label="Closes" description="Before it opens: the next day." />
              <TextInput {...field("zone")} label="Time zone" placeholder={localZone()} />
            </div>
          </>
        )}
      </details>
    </section>
  );
}

/** @param {import("./draft").Problems} problems */
const moreProblem = (problems) =>
  ["parallel", "away", "tag", "deadline", "begin", "end", "zone"].some((name) => name in problems) || undefined;

/** @param {{ preview: import("../api").Preview }} props */
export function Waves({ preview: { waves, total } }) {
  return (
    <ol className={classes.waves} data-testid="planned-waves">
      {waves.map(({ number, label, total: here }) => (
        <li key={number} className={classes.wave}>
          <span>Wave {number}</span>
          <span className={classes.waveBar}>
            <span style={{ width: `${(100 * here) / Math.max(1, total)}%` }} />
          </span>
          <span title={label}>
            <b>{formatCount(here)}</b> {plural(here, "device").replace(/^\S+ /, "")}
          </span>
        </li>
      ))}
    </ol>
  );
}
