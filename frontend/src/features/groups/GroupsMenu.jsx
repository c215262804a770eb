/** The groups there are: take one, rename it, share it, forget it, keep what is described or picked now as another. */
import { useRef, useState } from "react";
import { ActionIcon, Button, Popover, TextInput } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { InlineEdit } from "../../components/InlineEdit";
import { ProblemBox } from "../../components/ProblemBox";
import { plural } from "../../lib/text";
import { NAME_MAX, changeGroup, createGroup, deleteGroup } from "./api";
import { SharedWith } from "./SharedWith";
import { SharedWithMe } from "./SharedWithMe";
import { useGroupChange, useGroups } from "./useGroups";
import classes from "./GroupsMenu.module.css";

/** @param {{ members: import("./api").Members | null, onTake: (name: string) => void }} props `members`: what would be kept */
export function GroupsMenu({ members, onTake }) {
  const [opened, setOpened] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" width={360} trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant="default"
          size="compact-md"
          leftSection={<Icon name="tag" size={14} />}
          onClick={() => setOpened(!opened)}
        >
          Groups
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Groups of devices">
        <List
          onTake={(name) => {
            onTake(name);
            setOpened(false);
          }}
          onForgotten={() => field.current?.focus()} // the button that was pressed goes with its row
        />
        <SharedWithMe />
        <Keep field={field} members={members} />
      </Popover.Dropdown>
    </Popover>
  );
}

/** @typedef {{ onTake: (name: string) => void, onForgotten: () => void }} Acts */

/** @param {Acts} acts */
function List(acts) {
  const groups = useGroups();
  if (groups.error)
    return <ProblemBox error={groups.error} what="The groups cannot be shown." onRetry={() => groups.refetch()} />;
  const items = groups.data?.items ?? [];
  if (items.length === 0) {
    return (
      <p className={classes.none}>
        {groups.data ? "There is no group yet. Describe or pick devices, and keep them under a name." : "…"}
      </p>
    );
  }
  return (
    <ul className={classes.list}>
      {items.map((group) => (
        <Row key={group.id} group={group} {...acts} />
      ))}
    </ul>
  );
}

/** @param {Acts & { group: import("./api").Group }} props */
function Row({ group, onTake, onForgotten }) {
  const { id, name, selector, total, members } = group;
  const [sharing, setSharing] = useState(false);
  const rename = useGroupChange((/** @type {string} */ text) => changeGroup(id, { name: text }));
  const forget = useGroupChange(() => deleteGroup(id), onForgotten);
  const error = rename.error ?? forget.error;
  return (
    <li className={classes.row} data-testid="group">
      <div className={classes.line}>
        <InlineEdit value={name} label={`Rename ${name}`} maxLength={NAME_MAX} onSave={(text) => rename.mutate(text)}>
          <button type="button" className={classes.take} onClick={() => onTake(name)}>
            <span className="cut">{name}</span>
            <span className={classes.what}>
              {plural(total, "device")} · {members > 0 && `shared with ${members} · `}
              {selector === null ? "picked" : <span className="mono">{selector}</span>}
            </span>
          </button>
        </InlineEdit>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`Share the group ${name}`}
          aria-expanded={sharing}
          onClick={() => setSharing(!sharing)}
        >
          <Icon name="person" />
        </ActionIcon>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`Forget the group ${name}`}
          loading={forget.isPending}
          onClick={() => forget.mutate(undefined)}
        >
          <Icon name="trash" />
        </ActionIcon>
      </div>
      {sharing && <SharedWith group={group} />}
      {error && <ProblemBox error={error} what="The group stays as it was." />}
    </li>
  );
}

/** @param {{ field: import("react").RefObject<HTMLInputElement | null>, members: import("./api").Members | null }} props */
function Keep({ field, members }) {
  const [name, setName] = useState("");
  const keep = useGroupChange(
    (/** @type {import("./api").Members} */ chosen) => createGroup(name.trim(), chosen),
    () => {
      setName("");
      field.current?.focus(); // the button that was pressed is off now
    },
  );
  return (
    <form
      className={classes.keep}
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() && members) keep.mutate(members);
      }}
    >
      <TextInput
        ref={field}
        className={classes.name}
        label="Keep these devices as"
        description={keepWords(members)}
        maxLength={NAME_MAX}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Button type="submit" loading={keep.isPending} disabled={!name.trim() || !members}>
        Keep
      </Button>
      {keep.error && <ProblemBox error={keep.error} what="It was not kept." />}
    </form>
  );
}

/** @param {import("./api").Members | null} members */
function keepWords(members) {
  if (!members) return "First describe or pick them.";
  if ("device_ids" in members) return `${plural(members.device_ids.length, "picked device")}, always the same.`;
  return "Whatever the selector describes at the time.";
}
