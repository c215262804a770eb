/** Asks for how many machines and how long the line is good, then makes it. */
import { Button, Group, NativeSelect, NumberInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { useActOff } from "../devices/useActOff";
import { useCreateToken } from "./useCreateToken";
import classes from "./Enroll.module.css";

const LIFETIMES = [
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "1 day" },
  { value: "604800", label: "7 days" },
  { value: "2592000", label: "30 days" },
];
const MOST_USES = 100_000;

/** @param {{ onMade: (token: import("./tokens").NewToken) => void, onCancel: () => void }} props */
export function EnrollForm({ onMade, onCancel }) {
  const off = useActOff();
  const [name, setName] = useState("");
  const [uses, setUses] = useState(/** @type {string | number} */ (1));
  const [lifetime, setLifetime] = useState("86400");
  const create = useCreateToken(onMade);

  /** @param {import("react").FormEvent} event */
  function submit(event) {
    event.preventDefault();
    const maxUses = Math.min(MOST_USES, Math.max(1, Math.round(Number(uses) || 1)));
    create.mutate({ name: name.trim() || "Added by hand", max_uses: maxUses, expires_in_s: Number(lifetime) });
  }

  return (
    <form className={classes.form} onSubmit={submit}>
      <TextInput
        data-autofocus
        label="What it is for"
        description="So that you know it again in the list of tokens."
        placeholder="Web servers in Berlin"
        maxLength={100}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <div className={classes.pair}>
        <NumberInput label="Machines" min={1} max={MOST_USES} allowDecimal={false} value={uses} onChange={setUses} />
        <NativeSelect
          label="Good for"
          data={LIFETIMES}
          value={lifetime}
          onChange={(event) => setLifetime(event.currentTarget.value)}
        />
      </div>
      {create.error && <ProblemBox error={create.error} what="No line was made." />}
      <Group justify="flex-end" gap="sm">
        <Button variant="default" onClick={onCancel}>
          Cancel
        </Button>
        <OffButton type="submit" off={off} loading={create.isPending}>
          Create the line
        </OffButton>
      </Group>
    </form>
  );
}
