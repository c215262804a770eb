/** How it runs: as whom, where, with what, for how long. Closed until somebody wants it. */
import { useId, useState } from "react";
import { Collapse, TextInput, Textarea, UnstyledButton } from "@mantine/core";
import { Icon } from "../../../components/Icon";
import { ADVANCED, isAdvanced } from "./draft";
import classes from "./Compose.module.css";

/** @param {import("./What").PartProps} props */
export function Advanced({ draft, problems, onChange }) {
  const wrong = ADVANCED.some((field) => problems[field]);
  const [wanted, setWanted] = useState(isAdvanced(draft));
  const opened = wanted || wrong;
  const id = useId();

  /** @param {typeof ADVANCED[number]} field */
  const field = (field) => ({
    value: draft[field],
    error: problems[field],
    spellCheck: false,
    autoComplete: "off",
    onChange: (/** @type {{ currentTarget: { value: string } }} */ event) =>
      onChange({ [field]: event.currentTarget.value }),
  });

  return (
    <div>
      <UnstyledButton
        className={classes.advanced}
        aria-expanded={opened}
        aria-controls={id}
        onClick={() => setWanted(!opened)}
      >
        <Icon name={opened ? "down" : "right"} />
        Advanced
        {!opened && (
          <span className={classes.summary}>
            ends after {draft.timeout}, expires after {draft.expires}
          </span>
        )}
      </UnstyledButton>
      <Collapse expanded={opened} id={id}>
        <div className={classes.fields}>
          <TextInput label="User" description="Of the machine; empty: the agent's own." {...field("user")} />
          <TextInput label="Folder" description="Where it runs, an absolute path." {...field("cwd")} />
          <TextInput label="Time-out" description="Then it is ended." {...field("timeout")} />
          <TextInput label="Expiry" description="Not started by then: never." {...field("expires")} />
          <TextInput
            label="At once"
            description="Most devices at a time; empty: all."
            inputMode="numeric"
            {...field("maxParallel")}
          />
          <TextInput
            label="Output kept, MiB"
            description="Of each device; empty: the server's setting."
            inputMode="numeric"
            {...field("quotaMiB")}
          />
          <Textarea
            className={classes.wide}
            label="Environment"
            description="NAME=value on each line. Values are not shown again once it runs."
            autosize
            minRows={2}
            maxRows={8}
            classNames={{ input: classes.mono }}
            {...field("env")}
          />
        </div>
      </Collapse>
    </div>
  );
}
