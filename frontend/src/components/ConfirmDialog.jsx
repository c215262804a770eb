/** Asks before something that cannot be undone; above 20 things their number has to be typed. */
import { useState } from "react";
import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { formatCount } from "../lib/text";

export const TYPE_ABOVE = 20;

/**
 * @param {{ opened: boolean, title: string, count: number, action: string, color?: string, busy?: boolean, onConfirm: () => void, onClose: () => void, children: import("react").ReactNode }} props
 */
export function ConfirmDialog({
  opened,
  title,
  count,
  action,
  color = "danger",
  busy = false,
  onConfirm,
  onClose,
  children,
}) {
  return (
    <Modal opened={opened} onClose={onClose} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      <Form key={String(opened)} {...{ count, action, color, busy, onConfirm, onClose }}>
        {children}
      </Form>
    </Modal>
  );
}

/**
 * @param {{ count: number, action: string, color: string, busy: boolean, onConfirm: () => void, onClose: () => void, children: import("react").ReactNode }} props
 */
function Form({ count, action, color, busy, onConfirm, onClose, children }) {
  const [typed, setTyped] = useState("");
  const mustType = count > TYPE_ABOVE;
  const allowed = !mustType || typed.replace(/[\s,.]/g, "") === String(count);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (allowed && !busy) onConfirm();
      }}
    >
      <Stack gap="md">
        {children}
        {mustType && (
          <TextInput
            data-autofocus
            label={`Type ${formatCount(count)} to confirm`}
            inputMode="numeric"
            autoComplete="off"
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
        )}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={onClose} data-autofocus={mustType ? undefined : true}>
            Cancel
          </Button>
          <Button type="submit" color={color} disabled={!allowed} loading={busy}>
            {action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
