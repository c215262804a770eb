/** Puts devices into a group: a new one, or one of those that hold picked devices. */
import { useState } from "react";
import { Button, Group, Modal, NativeSelect, Stack, TextInput } from "@mantine/core";
import { ProblemBox } from "../../components/ProblemBox";
import { plural } from "../../lib/text";
import { NAME_MAX, changeGroup, createGroup, readGroup } from "./api";
import { useGroupChange, useGroups } from "./useGroups";

/** @typedef {{ id: string, name: string }} Chosen `id` is empty for a new group */

/** @param {Chosen} chosen @param {number[]} ids */
async function put({ id, name }, ids) {
  if (!id) return createGroup(name, { device_ids: ids });
  const { device_ids } = await readGroup(id);
  return changeGroup(id, { device_ids: [...new Set([...(device_ids ?? []), ...ids])] });
}

/** @param {{ opened: boolean, ids: number[], onClose: () => void }} props */
export function GroupDialog({ opened, ids, onClose }) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={`Group ${plural(ids.length, "device")}`}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Form key={String(opened)} ids={ids} onDone={onClose} />
    </Modal>
  );
}

/** @param {{ ids: number[], onDone: () => void }} props */
function Form({ ids, onDone }) {
  const groups = useGroups();
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const change = useGroupChange((/** @type {Chosen} */ chosen) => put(chosen, ids), onDone);
  const fixed = (groups.data?.items ?? []).filter(({ selector }) => selector === null);
  const ready = id !== "" || name.trim() !== "";
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) change.mutate({ id, name: name.trim() });
      }}
    >
      <Stack gap="md">
        <span className="muted">
          A group is a name for devices. Run on it with <code>group=name</code>, here and on the command line.
        </span>
        {groups.error && <ProblemBox error={groups.error} what="Your groups are not known." />}
        {fixed.length > 0 && (
          <NativeSelect
            label="Group"
            data={[
              { value: "", label: "A new one" },
              ...fixed.map((group) => ({ value: group.id, label: `${group.name} (${plural(group.total, "device")})` })),
            ]}
            value={id}
            onChange={(event) => setId(event.currentTarget.value)}
          />
        )}
        {id === "" && (
          <TextInput
            data-autofocus
            label="Name of the group"
            placeholder="berlin"
            maxLength={NAME_MAX}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
        )}
        {change.error && <ProblemBox error={change.error} what="The groups stay as they were." />}
        <Group justify="flex-end" gap="sm">
          <Button type="submit" disabled={!ready} loading={change.isPending}>
            {id === "" ? "Make the group" : `Add ${plural(ids.length, "device")}`}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
