/** A simple release, made in the browser: what it is called, what it consists of, how it is checked. */
import { useState } from "react";
import { Checkbox, NativeSelect, SegmentedControl, TextInput, Textarea } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { useActOff } from "../devices/useActOff";
import { createRelease } from "./api";
import { EMPTY, payloadOf, problemsOf } from "./draft";
import { KINDS } from "./kinds";
import { KindFields } from "./KindFields";
import { textProps } from "./textProps";
import { RELEASES, useNewest } from "./useReleases";
import classes from "./Release.module.css";

const TYPED_MS = 300;
const { agent: _agent, ...OFFERED } = KINDS; // that one is made with its own command, where its keys are
const KIND_CHOICES = Object.entries(OFFERED).map(([value, { word }]) => ({ value, label: word }));
const PLATFORMS = [
  { value: "linux", label: "Linux" },
  { value: "darwin", label: "macOS" },
  { value: "windows", label: "Windows" },
];
const REBOOTS = [
  { value: "never", label: "never" },
  { value: "if_needed", label: "when the system needs it" },
  { value: "always", label: "always" },
];

/** @param {{ onMade: (release: import("./api").ReleaseDetail) => void }} props */
export function NewReleaseForm({ onMade }) {
  const [draft, setDraft] = useState(EMPTY);
  const [tried, setTried] = useState(false);
  const [name] = useDebouncedValue(draft.name, TYPED_MS);
  const newest = useNewest(problemsOf({ ...draft, name }).name ? "" : name);
  const before = (draft.name === name && newest.data) || null;
  const off = useActOff();
  const queryClient = useQueryClient();
  const make = useMutation({
    mutationFn: () => createRelease(payloadOf(draft, before)),
    onSuccess: (release) => {
      void queryClient.invalidateQueries({ queryKey: RELEASES });
      onMade(release);
    },
  });
  const problems = problemsOf(draft);
  const shown = tried ? problems : {};

  /** @param {Partial<import("./draft").Draft>} change */
  const onChange = (change) => setDraft((now) => ({ ...now, ...change }));
  /** @param {keyof import("./draft").Draft} field */
  const text = (field) => textProps({ draft, problems: shown, onChange }, field);

  /** @param {import("react").FormEvent} event */
  function submit(event) {
    event.preventDefault();
    setTried(true);
    const looking = draft.name !== name || newest.isLoading; // its number is that of the newest, and one more
    if (off || looking || make.isPending || Object.keys(problems).length > 0) return;
    make.mutate();
  }

  return (
    <form className={classes.form} onSubmit={submit} noValidate data-testid="new-release">
      <section className={classes.section} aria-label="What it is">
        <h2 className={classes.heading}>What it is</h2>
        <div className={classes.fields}>
          <TextInput {...text("name")} label="Name" placeholder="shop" className={classes.mono} />
          <TextInput
            {...text("version")}
            label="Version"
            placeholder="1.4.2"
            className={classes.mono}
            description={before ? `The newest is ${before.version}.` : undefined}
          />
          <TextInput {...text("description")} label="Description" placeholder="What is new" />
        </div>
        <Checkbox.Group
          label="For"
          value={draft.platforms}
          error={shown.platforms}
          onChange={(platforms) => onChange({ platforms })}
        >
          <div className={classes.checks}>
            {PLATFORMS.map(({ value, label }) => (
              <Checkbox key={value} value={value} label={label} />
            ))}
          </div>
        </Checkbox.Group>
      </section>

      <section className={`${classes.section} ${classes.kinds}`} aria-label="What it consists of">
        <h2 className={classes.heading}>What it consists of</h2>
        <SegmentedControl
          aria-label="Kind of release"
          data={KIND_CHOICES}
          value={draft.kind}
          onChange={(kind) => onChange({ kind: /** @type {any} */ (kind) })}
        />
        <p className={classes.meta}>{KINDS[draft.kind].meaning}</p>
        <KindFields draft={draft} problems={shown} onChange={onChange} off={off} />
      </section>

      <section className={classes.section} aria-label="How it is checked and undone">
        <h2 className={classes.heading}>How it is checked and undone</h2>
        <Textarea
          {...text("health")}
          label="Health"
          description="A line for the shell that succeeds when the new version works. Without one, an install that ends well counts."
          placeholder="curl -fsS http://localhost:8080/health"
          autosize
          className={classes.mono}
        />
        {draft.health.trim() !== "" && (
          <div className={classes.fields}>
            <TextInput {...text("within")} label="Within" description="It is undone if it takes longer." />
            <TextInput {...text("successes")} label="Successes in a row" inputMode="numeric" />
          </div>
        )}
        {before && (
          <Checkbox
            label={`A device that has to go back gets ${before.version} again`}
            description="What is needed for it is fetched before anything is changed."
            checked={draft.goesBack}
            onChange={(event) => onChange({ goesBack: event.currentTarget.checked })}
          />
        )}
        <details className={classes.more} open={shown.confirm ? true : undefined}>
          <summary>Confirmation, restart, uninstall</summary>
          <div className={classes.fields}>
            <TextInput
              {...text("confirm")}
              label="Confirm within"
              description="The device undoes it by itself unless it reaches the server within this time."
              placeholder="not confirmed"
            />
            <NativeSelect
              label="Restart the machine"
              description="After the install, before the checks."
              data={REBOOTS}
              value={draft.reboot}
              onChange={(event) => onChange({ reboot: /** @type {any} */ (event.currentTarget.value) })}
            />
          </div>
          <Textarea
            {...text("uninstall")}
            label="Uninstall"
            description="A line for the shell that removes it."
            autosize
            mt="sm"
            className={classes.mono}
          />
        </details>
      </section>

      {make.error && <ProblemBox error={make.error} what="The release was not made." />}
      <div className={classes.foot}>
        <OffButton type="submit" off={off} loading={make.isPending} leftSection={<Icon name="box" />}>
          Make the release
        </OffButton>
        {tried && Object.keys(problems).length > 0 && (
          <p className={classes.problem} role="alert">
            {Object.values(problems)[0]}
          </p>
        )}
      </div>
    </form>
  );
}
