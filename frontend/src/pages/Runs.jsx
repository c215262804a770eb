/** The history of runs, live. The filter and the search are in the address. */
import { useState } from "react";
import { Button, SegmentedControl, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { OffButton } from "../components/OffButton";
import { useTitle } from "../components/Page";
import { useActOff } from "../features/devices/useActOff";
import { RunList } from "../features/runs/RunList";
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
  const { state, q } = /** @type {{ state?: string, q?: string }} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const off = useActOff();
  const [text, setText] = useState(q ?? "");

  /** @param {{ state?: string, q?: string }} change */
  const change = (change) =>
    void navigate({ to: "/runs", search: (/** @type {any} */ now) => ({ ...now, ...change }), replace: true });
  const search = useDebouncedCallback(
    (/** @type {string} */ text) => change({ q: text.trim() || undefined }),
    TYPED_MS,
  );

  function clear() {
    setText("");
    change({ state: undefined, q: undefined });
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
        <SegmentedControl
          aria-label="Which runs"
          data={STATES}
          value={state ?? ""}
          onChange={(value) => change({ state: value || undefined })}
        />
      </div>
      <RunList filter={{ state, q }} none={state || q ? <NoMatch onClear={clear} /> : <First />} />
    </div>
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
