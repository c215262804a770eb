/** What was done, by whom, to what: the audit record, for administrators. The filter is in the address. */
import { useState } from "react";
import { Button, NativeSelect, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { useTitle } from "../components/Page";
import { EntryList } from "../features/audit/EntryList";
import { KINDS, exportUrl } from "../features/audit/entries";
import classes from "./Audit.module.css";

const TYPED_MS = 250;

/** @typedef {import("../features/audit/entries").Filter} Filter */

export function Audit() {
  useTitle("Audit");
  const filter = /** @type {Filter} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const [actor, setActor] = useState(filter.actor ?? "");

  /** @param {Filter} change */
  const change = (change) =>
    void navigate({ to: "/audit", search: (/** @type {any} */ now) => ({ ...now, ...change }), replace: true });
  const typed = useDebouncedCallback(
    (/** @type {string} */ text) => change({ actor: text.trim() || undefined }),
    TYPED_MS,
  );
  const narrowed = Boolean(filter.action || filter.actor || filter.object);

  function clear() {
    setActor("");
    change({ action: undefined, actor: undefined, object: undefined });
  }

  return (
    <div className={classes.page}>
      <div className={classes.head}>
        <h1 className={classes.title}>Audit</h1>
        <Button
          component="a"
          href={exportUrl(filter)}
          download
          variant="default"
          leftSection={<Icon name="download" />}
        >
          Export
        </Button>
      </div>
      <p className={classes.intro}>
        Nobody changes this record unseen: each entry holds the hash of the one before it. Check it from another machine
        with <code className="mono">deployx audit verify</code>.
      </p>
      <div className={classes.tools}>
        <NativeSelect
          aria-label="What was done"
          data={KINDS}
          value={filter.action ?? ""}
          onChange={(event) => change({ action: event.currentTarget.value || undefined })}
        />
        <TextInput
          className={classes.search}
          type="search"
          aria-label="Who did it"
          placeholder="Who: address or agent id, in full"
          leftSection={<Icon name="person" />}
          value={actor}
          onChange={(event) => {
            setActor(event.currentTarget.value);
            typed(event.currentTarget.value);
          }}
        />
        {narrowed && (
          <Button variant="subtle" onClick={clear}>
            Show everything
          </Button>
        )}
      </div>
      <EntryList
        filter={filter}
        none={
          <div className={classes.none}>
            <p>No entry matches.</p>
            <Button variant="default" size="compact-md" onClick={clear}>
              Show everything
            </Button>
          </div>
        }
      />
    </div>
  );
}
