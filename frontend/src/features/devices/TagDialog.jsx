/** Adds a tag to many devices, or takes one from them. */
import { useState } from "react";
import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { plural } from "../../lib/text";
import { changeTags } from "./actions";
import { ownTagTexts, parseTag, tagText } from "./tags";
import { howMany } from "./words";
import classes from "./TagDialog.module.css";

/** @typedef {import("../../live/rows").Device} Device */

/**
 * @param {{ opened: boolean, devices: Device[], onClose: () => void, onApply: (act: (device: Device) => Promise<unknown>) => void }} props
 */
export function TagDialog({ opened, devices, onClose, onApply }) {
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={`Tag ${plural(devices.length, "device")}`}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Form key={String(opened)} devices={devices} onApply={onApply} />
    </Modal>
  );
}

/** @param {{ devices: Device[], onApply: (act: (device: Device) => Promise<unknown>) => void }} props */
function Form({ devices, onApply }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const present = [...new Set(devices.flatMap(ownTagTexts))].sort().slice(0, 40);

  /** @param {import("react").FormEvent} event */
  function add(event) {
    event.preventDefault();
    const tag = parseTag(text);
    if ("problem" in tag) return setProblem(tag.problem);
    onApply((device) => changeTags(device, (tags) => ({ ...tags, [tag.name]: tag.value })));
  }

  /** @param {string} shown */
  function take(shown) {
    const lacksIt = (/** @type {[string, string]} */ tag) => tagText(tag) !== shown;
    onApply((device) => changeTags(device, (tags) => Object.fromEntries(Object.entries(tags).filter(lacksIt))));
  }

  return (
    <Stack gap="md">
      <span className="muted">
        {howMany(devices)}. Tags are kept by the server, so it does not matter who is offline.
      </span>
      <form onSubmit={add}>
        <TextInput
          data-autofocus
          label="Add a tag"
          placeholder="role=web"
          value={text}
          error={problem || null}
          maxLength={120}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setProblem("");
          }}
        />
        <Group justify="flex-end" mt="sm">
          <Button type="submit" disabled={!text.trim()}>
            Add to {plural(devices.length, "device")}
          </Button>
        </Group>
      </form>
      {present.length > 0 && (
        <div>
          <div className={classes.label}>Remove a tag</div>
          <div className={classes.tags}>
            {present.map((shown) => (
              <Button
                key={shown}
                size="compact-sm"
                variant="default"
                aria-label={`Remove the tag ${shown}`}
                rightSection={<Icon name="close" size={12} />}
                onClick={() => take(shown)}
              >
                {shown}
              </Button>
            ))}
          </div>
        </div>
      )}
    </Stack>
  );
}
