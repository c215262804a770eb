/** Views kept under a name in this browser; the current one is whatever the address says. */
import { useState } from "react";
import { ActionIcon, Button, Popover, Stack, TextInput, Tooltip } from "@mantine/core";
import { Link, useSearch } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { useAtom } from "../../lib/atom";
import { createStoredAtom } from "../../lib/storage";
import { searchFrom } from "./view";
import classes from "./SavedViews.module.css";

/** @typedef {{ name: string, search: import("./view").Search }[]} Saved */

/** @param {unknown} value @returns {value is Saved} */
const isSaved = (value) =>
  Array.isArray(value) && value.every((each) => typeof each?.name === "string" && typeof each?.search === "object");

const saved = createStoredAtom("deployx.views", /** @type {Saved} */ ([]), isSaved);

export function SavedViews() {
  const [opened, setOpened] = useState(false);
  const views = useAtom(saved);
  const search = searchFrom(useSearch({ strict: false }));
  const [name, setName] = useState("");

  /** @param {import("react").FormEvent} event */
  function keep(event) {
    event.preventDefault();
    const wanted = name.trim();
    if (!wanted) return;
    saved.set((now) => [...now.filter((view) => view.name !== wanted), { name: wanted, search }]);
    setName("");
  }

  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" trapFocus returnFocus width={280}>
      <Popover.Target>
        <Tooltip label="Saved views" disabled={opened}>
          <ActionIcon variant="default" size={36} aria-label="Saved views" onClick={() => setOpened(!opened)}>
            <Icon name="bookmark" />
          </ActionIcon>
        </Tooltip>
      </Popover.Target>
      <Popover.Dropdown aria-label="Saved views">
        <Stack gap="sm">
          {views.length === 0 && <span className="muted">Save the search, filters, sort and columns you see now.</span>}
          {views.length > 0 && (
            <ul className={classes.list}>
              {views.map((view) => (
                <li key={view.name} className={classes.view}>
                  <Link to="/" search={view.search} className={classes.name} onClick={() => setOpened(false)}>
                    {view.name}
                  </Link>
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    size="sm"
                    aria-label={`Delete the view ${view.name}`}
                    onClick={() => saved.set((now) => now.filter((each) => each.name !== view.name))}
                  >
                    <Icon name="close" size={14} />
                  </ActionIcon>
                </li>
              ))}
            </ul>
          )}
          <form className={classes.form} onSubmit={keep}>
            <TextInput
              size="xs"
              aria-label="Name of the view"
              placeholder="Name of this view"
              maxLength={60}
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
            <Button size="xs" type="submit" disabled={!name.trim()}>
              Save
            </Button>
          </form>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
