/** The releases, and a new one. The search is in the address. */
import { useState } from "react";
import { Button, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { CopyLine } from "../components/CopyLine";
import { Icon } from "../components/Icon";
import { OffButton } from "../components/OffButton";
import { useTitle } from "../components/Page";
import { useActOff } from "../features/devices/useActOff";
import { ReleaseList } from "../features/releases/ReleaseList";
import classes from "./Runs.module.css";

const TYPED_MS = 250;

export function Releases() {
  useTitle("Releases");
  const { q } = /** @type {{ q?: string }} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const off = useActOff();
  const [text, setText] = useState(q ?? "");

  const search = useDebouncedCallback(
    (/** @type {string} */ text) =>
      void navigate({ to: "/releases", search: { q: text.trim() || undefined }, replace: true }),
    TYPED_MS,
  );

  function clear() {
    setText("");
    void navigate({ to: "/releases", replace: true });
  }

  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1 className={classes.title}>Releases</h1>
        <OffButton off={off} leftSection={<Icon name="plus" />} onClick={() => navigate({ to: "/releases/new" })}>
          New release
        </OffButton>
      </div>
      <div className={classes.tools}>
        <TextInput
          className={classes.search}
          type="search"
          aria-label="Search the releases"
          placeholder="Search name"
          leftSection={<Icon name="search" />}
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            search(event.currentTarget.value);
          }}
        />
      </div>
      <ReleaseList q={q} none={q ? <NoMatch onClear={clear} /> : <First />} />
    </div>
  );
}

/** @param {{ onClear: () => void }} props */
function NoMatch({ onClear }) {
  return (
    <div className={classes.none}>
      <p>No release matches.</p>
      <Button variant="default" size="compact-md" onClick={onClear}>
        Show all releases
      </Button>
    </div>
  );
}

function First() {
  return (
    <div className={classes.none} data-testid="first-release">
      <h2>There is no release yet</h2>
      <p>
        A release is a version of something: an archive, a file, a package or a script, with what installs it, what says
        that it is healthy, and what to go back to. Sign it with a key that was never on the server, and devices that
        ask for it take nothing else.
      </p>
      <p>
        <Link to="/releases/new">Make a simple one here</Link>, or write a <code>deployx.yaml</code> and send it from a
        command line:
      </p>
      <CopyLine text="deployx release create deployx.yaml" label="the line that makes a release" />
    </div>
  );
}
