/** Where to run it: devices that a selector describes, or picked ones. */
import { useMemo } from "react";
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { store, useLive } from "../../../live";
import { DevicePicker } from "./DevicePicker";
import { around } from "../../groups/selectorText";
import { suggestions } from "./suggestions";
import classes from "./Compose.module.css";

const SELECTOR_MAX = 4000;
const WAYS = [
  { value: "selector", label: "Described" },
  { value: "devices", label: "Picked" },
];

/** @param {import("./What").PartProps & { refused: import("../../../lib/problem").Problem | null }} props `refused` is what the server says of the selector */
export function Where({ draft, problems, refused, onChange }) {
  return (
    <>
      <SegmentedControl
        aria-label="How the devices are named"
        data={WAYS}
        value={draft.by}
        onChange={(by) => onChange({ by: /** @type {"selector" | "devices"} */ (by) })}
      />
      {draft.by === "selector" ? (
        <Selector draft={draft} problems={problems} refused={refused} onChange={onChange} />
      ) : (
        <DevicePicker ids={draft.ids} problem={problems.ids} onChange={(ids) => onChange({ ids })} />
      )}
    </>
  );
}

/** @param {import("./What").PartProps & { refused: import("../../../lib/problem").Problem | null }} props */
function Selector({ draft, problems, refused, onChange }) {
  const counts = useLive((state) => state.counts);
  const offered = useMemo(() => suggestions(counts.total ? store.get().devices.values() : []), [counts]);
  return (
    <div>
      <TextInput
        label="Selector"
        description={
          <>
            Conditions with commas between them, all of which must hold: <code>platform=linux</code>,{" "}
            <code>role in (web,db)</code>, <code>!legacy</code>, <code>group=berlin</code>; <code>*</code> is
            everything.
          </>
        }
        placeholder="platform=linux,role in (web,db)"
        classNames={{ input: classes.mono }}
        spellCheck={false}
        autoCapitalize="none"
        autoComplete="off"
        maxLength={SELECTOR_MAX}
        value={draft.selector}
        error={refused ? <Refused selector={draft.selector} problem={refused} /> : problems.selector}
        onChange={(event) => onChange({ selector: event.currentTarget.value })}
      />
      <div className={classes.chips} role="group" aria-label="Examples from your devices">
        {offered.map((text) => (
          <Button key={text} size="compact-xs" variant="default" onClick={() => onChange({ selector: text })}>
            <span className="mono">{text}</span>
          </Button>
        ))}
      </div>
    </div>
  );
}

/** What is wrong, and where. @param {{ selector: string, problem: import("../../../lib/problem").Problem }} props */
function Refused({ selector, problem }) {
  const { detail, position } = problem;
  if (position === undefined) return detail;
  const [before, at, after] = around(selector.trim(), position);
  return (
    <>
      {detail}
      <span className={classes.place} aria-hidden="true" data-testid="selector-place">
        {before}
        <mark>{at || " "}</mark>
        {after}
      </span>
    </>
  );
}
