/** The history of runs, live. The filter and the search are in the address. */
import { useState } from "react";
import { Button, NativeSelect, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { OffButton } from "../components/OffButton";
import { useTitle } from "../components/Page";
import { useMe } from "../features/auth/session";
import { useActOff } from "../features/devices/useActOff";
import { RunList } from "../features/runs/RunList";
import { useRunList } from "../features/runs/useRuns";
import "../features/runs/runs.css";
import classes from "./Runs.module.css";

const STATES = [
  { value: "", label: "All" },
  { value: "active", label: "Active" },
  { value: "finished", label: "Over" },
  { value: "failed", label: "With failures" },
];
const TYPED_MS = 250;

export function Runs() {
  useTitle("Runs");
  const { state, q, by } = /** @type {import("../features/runs/merge").RunFilter} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const off = useActOff();
  const [text, setText] = useState(q ?? "");

  /** @param {import("../features/runs/merge").RunFilter} change */
  const change = (change) =>
    void navigate({ to: "/runs", search: (/** @type {any} */ now) => ({ ...now, ...change }), replace: true });
  const search = useDebouncedCallback(
    (/** @type {string} */ text) => change({ q: text.trim() || undefined }),
    TYPED_MS,
  );

  function clear() {
    setText("");
    change({ state: undefined, q: undefined, by: undefined });
  }

  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1 className={classes.title}>Runs</h1>
        <OffButton off={off} leftSection={<Icon name="play" />} onClick={() => navigate({ to: "/runs/new" })}>
          Run a command
        </OffButton>
      </div>
      <div className={classes.tools}>
        <TextInput
          className={classes.search}
          type="search"
          aria-label="Search the runs"
          placeholder="Search command or person"
          leftSection={<Icon name="search" />}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            search(event.currentTarget.value);
          }}
        />
        <Who by={by} onChange={(by) => change({ by })} />
        <SegmentedControl
          className={classes.states}
          aria-label="Which runs"
          data={STATES}
          value={state ?? ""}
          onChange={(value) => change({ state: value || undefined })}
        />
      </div>
      <RunList filter={{ state, q, by }} none={state || q || by ? <NoMatch onClear={clear} /> : <First />} />
    </div>
  );
}

/** Whose: anybody's who started one of the newest. Whoever sees only their own is not asked. @param {{ by?: string, onChange: (by?: string) => void }} props */
function Who({ by, onChange }) {
  const me = useMe();
  const { runs } = useRunList({});
  if (me?.role !== "admin") return null;
  const others = new Set([...(runs ?? []).map(({ created_by }) => created_by), ...(by ? [by] : [])]);
  others.delete(me.email);
  return (
    <NativeSelect
      aria-label="Who started them"
      data={[
        { value: "", label: "Started by anyone" },
        { value: me.email, label: "Started by me" },
        ...[...others].sort().map((email) => ({ value: email, label: email })),
      ]}
      value={by ?? ""}
      onChange={(event) => onChange(event.currentTarget.value || undefined)}
    />
  );
}

/** @param {{ onClear: () => void }} props */
function NoMatch({ onClear }) {
  return (
    <div className={classes.none}>
      <p>No run matches.</p>
      <Button variant="default" size="compact-md" onClick={onClear}>
        Show all runs
      </Button>
    </div>
  );
}

function First() {
  return (
    <div className={classes.none} data-testid="first-run">
      <h2>Nothing was run yet</h2>
      <p>
        A run does one thing on any set of devices: a command, a line for the shell, or a script. You see whom it will
        reach before it starts, and the output of each device as it comes. A device that is offline gets it when it
        returns.
      </p>
      <ol>
        <li>
          Say what to run, such as <code>uptime</code>.
        </li>
        <li>
          Say where: pick devices, or describe them, such as <code>platform=linux,role in (web,db)</code>.
        </li>
        <li>Look at the preview, and run it.</li>
      </ol>
      <p>
        <Link to="/runs/new">Run your first command</Link>
      </p>
    </div>
  );
}
