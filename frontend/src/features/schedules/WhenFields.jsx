/** When: again and again by cron, or once; the zone, and the windows outside of which nothing starts. */
import { ActionIcon, Autocomplete, Button, Chip, SegmentedControl, TextInput } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { DAYS } from "./draft";
import { zoneNames } from "./zones";
import classes from "./Schedules.module.css";

const WAYS = [
  { value: "cron", label: "Again and again" },
  { value: "once", label: "Once" },
];
const EXAMPLES = [
  { cron: "0 * * * *", label: "every hour" },
  { cron: "30 2 * * *", label: "every day at 2:30" },
  { cron: "0 6 * * mon-fri", label: "weekdays at 6" },
  { cron: "0 3 * * sun", label: "Sundays at 3" },
  { cron: "0 4 1 * *", label: "the first of each month" },
];
const ZONES = zoneNames();
const WINDOWS_MAX = 20;
const WINDOW = /** @type {import("./api").Window} */ ({ days: [...DAYS], start: "22:00", end: "06:00" });

/** @typedef {{ timing: import("./draft").Timing, problems: import("./draft").TimingProblems, refused: import("../../lib/problem").Problem | null, onChange: (change: Partial<import("./draft").Timing>) => void }} WhenProps */

/** @param {WhenProps} props `refused`: what the server says of the times */
export function WhenFields({ timing, problems, refused, onChange }) {
  const zoneWrong = refused?.code === "unknown_timezone" ? refused.detail : null;
  const windowWrong = refused && /window|never_open|never_due/.test(refused.code) ? refused.detail : null;
  const timeWrong = refused && !zoneWrong && !windowWrong ? refused.detail : null;
  return (
    <>
      <SegmentedControl
        aria-label="How often"
        data={WAYS}
        value={timing.by}
        onChange={(by) => onChange({ by: /** @type {"cron" | "once"} */ (by) })}
      />
      {timing.by === "cron" ? (
        <div>
          <TextInput
            label="Cron expression"
            description="Minute, hour, day of the month, month, day of the week."
            placeholder="30 2 * * *"
            classNames={{ input: "mono" }}
            spellCheck={false}
            autoCapitalize="none"
            autoComplete="off"
            maxLength={200}
            value={timing.cron}
            error={timeWrong ?? problems.cron}
            onChange={(event) => onChange({ cron: event.currentTarget.value })}
          />
          <div className={classes.chips} role="group" aria-label="Examples">
            {EXAMPLES.map(({ cron, label }) => (
              <Button key={cron} size="compact-xs" variant="default" onClick={() => onChange({ cron })}>
                {label}
              </Button>
            ))}
          </div>
        </div>
      ) : (
        <TextInput
          type="datetime-local"
          label="Day and time"
          description="As clocks in the time zone below show it."
          value={timing.wall}
          error={timeWrong ?? problems.wall}
          onChange={(event) => onChange({ wall: event.currentTarget.value })}
        />
      )}
      <Autocomplete
        label="Time zone"
        data={ZONES}
        limit={12}
        spellCheck={false}
        value={timing.zone}
        error={zoneWrong}
        onChange={(zone) => onChange({ zone })}
      />
      <Windows timing={timing} problem={windowWrong ?? problems.windows} onChange={onChange} />
    </>
  );
}

/** @param {Pick<WhenProps, "timing" | "onChange"> & { problem?: string }} props */
function Windows({ timing: { windows }, problem, onChange }) {
  /** @param {number} at @param {Partial<import("./api").Window>} change */
  const change = (at, change) =>
    onChange({ windows: windows.map((window, number) => (number === at ? { ...window, ...change } : window)) });
  return (
    <fieldset className={classes.windows}>
      <legend>Windows</legend>
      <p className={classes.hint}>
        {windows.length === 0 ? "At any hour. A window leaves out the times outside of it." : "Only within these."}
      </p>
      {windows.map((window, at) => (
        <div key={at} className={classes.window} role="group" aria-label={`Window ${at + 1}`}>
          <Chip.Group
            multiple
            value={window.days}
            onChange={(days) => change(at, { days: DAYS.filter((day) => days.includes(day)) })}
          >
            <div className={classes.days}>
              {DAYS.map((day) => (
                <Chip key={day} value={day} size="xs">
                  {day}
                </Chip>
              ))}
            </div>
          </Chip.Group>
          <TextInput
            aria-label={`Window ${at + 1} opens`}
            className={classes.clock}
            maxLength={5}
            value={window.start}
            onChange={(event) => change(at, { start: event.currentTarget.value })}
          />
          <span aria-hidden="true">–</span>
          <TextInput
            aria-label={`Window ${at + 1} closes`}
            className={classes.clock}
            maxLength={5}
            value={window.end}
            onChange={(event) => change(at, { end: event.currentTarget.value })}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Remove window ${at + 1}`}
            onClick={() => onChange({ windows: windows.filter((_, number) => number !== at) })}
          >
            <Icon name="trash" />
          </ActionIcon>
        </div>
      ))}
      {problem && (
        <p className={classes.wrong} role="alert">
          {problem}
        </p>
      )}
      {windows.length < WINDOWS_MAX && (
        <Button
          variant="default"
          size="compact-sm"
          leftSection={<Icon name="plus" size={14} />}
          onClick={() => onChange({ windows: [...windows, WINDOW] })}
        >
          Add a window
        </Button>
      )}
    </fieldset>
  );
}
