/** Asks before something is done with a deployment: what happens to how many devices, and why it is done. */
import { useState } from "react";
import { Checkbox, Stack, TextInput } from "@mantine/core";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { formatCount } from "../../lib/text";
import { ACTIONS } from "./actionWords";
import { RETRIED, TARGET_STATES, countIn } from "./states";

const NOTE_MAX = 500;

/** @typedef {import("./steering").Action} Action */
/** @typedef {import("./states").TargetState} TargetState */

/**
 * @param {{ deployment: import("./states").Deployment, action: Action | null, onClose: () => void, onConfirm: (action: Action, how: { note: string, states: TargetState[] }) => void }} props
 */
export function SteerDialog({ deployment, action, onClose, onConfirm }) {
  const [shown, setShown] = useState(action);
  if (action && action !== shown) setShown(action); // its words stay while it closes
  if (!shown) return null;
  return <Asked key={shown} {...{ deployment, action: shown, opened: action !== null, onClose, onConfirm }} />;
}

/**
 * @param {{ deployment: import("./states").Deployment, action: Action, opened: boolean, onClose: () => void, onConfirm: (action: Action, how: { note: string, states: TargetState[] }) => void }} props
 */
function Asked({ deployment, action, opened, onClose, onConfirm }) {
  const words = ACTIONS[action];
  const [note, setNote] = useState("");
  const [changed, setChanged] = useState(/** @type {TargetState[] | null} */ (null));
  const present = RETRIED.filter((state) => deployment.counts[state] > 0);
  const bad = present.filter((state) => state !== "skipped");
  const states = (changed ?? (bad.length > 0 ? bad : present)).filter((state) => present.includes(state));
  const count = action === "retry" ? countIn(deployment.counts, states) : words.count(deployment);
  return (
    <ConfirmDialog
      opened={opened}
      title={words.title(deployment, count)}
      action={words.action(deployment, count)}
      count={count}
      color={words.color}
      onClose={onClose}
      onConfirm={() => (action !== "retry" || count > 0) && onConfirm(action, { note: note.trim(), states })}
    >
      <Stack gap="sm">
        <span data-testid="steer-words">{words.what(deployment, count)}</span>
        {action === "retry" &&
          present.map((state) => (
            <Checkbox
              key={state}
              label={`${TARGET_STATES[state].word} (${formatCount(deployment.counts[state])})`}
              description={TARGET_STATES[state].meaning}
              checked={states.includes(state)}
              onChange={(event) =>
                setChanged(event.currentTarget.checked ? [...states, state] : states.filter((each) => each !== state))
              }
            />
          ))}
        <TextInput
          label="Why"
          description="It stands in the log. It may stay empty."
          maxLength={NOTE_MAX}
          autoComplete="off"
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
        />
      </Stack>
    </ConfirmDialog>
  );
}
