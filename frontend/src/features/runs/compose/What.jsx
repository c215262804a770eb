/** What to run: a command, a line for the shell, or a script. */
import { Autocomplete, Button, SegmentedControl, TextInput, Textarea } from "@mantine/core";
import { looksLikeShell, splitWords } from "./words";
import classes from "./Compose.module.css";

const KINDS = [
  { value: "command", label: "Command" },
  { value: "shell", label: "Shell line" },
  { value: "script", label: "Script" },
];
const INTERPRETERS = ["bash", "sh", "python3", "pwsh", "perl", "node"];
const MONO = { input: classes.mono };

/** @typedef {{ draft: import("./draft").Draft, problems: import("./draft").Problems, onChange: (change: Partial<import("./draft").Draft>) => void }} PartProps */

/** @param {PartProps} props */
export function What({ draft, problems, onChange }) {
  return (
    <>
      <SegmentedControl
        aria-label="What to run"
        data={KINDS}
        value={draft.kind}
        onChange={(kind) => onChange({ kind: /** @type {import("./draft").Kind} */ (kind) })}
      />
      {draft.kind === "command" && <Command draft={draft} problems={problems} onChange={onChange} />}
      {draft.kind === "shell" && (
        <Textarea
          label="Line for the shell"
          description="Given to the machine's own shell: pipes, variables and && work."
          placeholder="journalctl -u nginx --since today | tail -50"
          autosize
          minRows={2}
          maxRows={10}
          classNames={MONO}
          spellCheck={false}
          autoCapitalize="none"
          value={draft.shell}
          error={problems.shell}
          onChange={(event) => onChange({ shell: event.currentTarget.value })}
        />
      )}
      {draft.kind === "script" && <Script draft={draft} problems={problems} onChange={onChange} />}
    </>
  );
}

/** @param {PartProps} props */
function Command({ draft, problems, onChange }) {
  const { words } = splitWords(draft.command);
  const shellSign = looksLikeShell(words);
  const plain = words.join(" ") === draft.command.trim();
  return (
    <div>
      <TextInput
        label="Command"
        description="A program and its arguments, without a shell."
        placeholder="systemctl restart nginx"
        classNames={MONO}
        spellCheck={false}
        autoCapitalize="none"
        autoComplete="off"
        value={draft.command}
        error={problems.command}
        onChange={(event) => onChange({ command: event.currentTarget.value })}
      />
      {shellSign ? (
        <p className={classes.hint} data-testid="shell-hint">
          The program gets <code>{shellSign}</code> as it stands.{" "}
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => onChange({ kind: "shell", shell: draft.command, command: "" })}
          >
            Make it a shell line
          </Button>
        </p>
      ) : (
        !plain &&
        words.length > 0 && (
          <p className={classes.hint}>
            Runs{" "}
            {words.map((word, index) => (
              <code key={index} className={classes.word}>
                {word || "(empty)"}
              </code>
            ))}
          </p>
        )
      )}
    </div>
  );
}

/** @param {PartProps} props */
function Script({ draft, problems, onChange }) {
  return (
    <>
      <Textarea
        label="Script"
        placeholder={"#!/bin/sh\nset -eu\n…"}
        autosize
        minRows={8}
        maxRows={24}
        classNames={MONO}
        spellCheck={false}
        autoCapitalize="none"
        value={draft.script}
        error={problems.script}
        onChange={(event) => onChange({ script: event.currentTarget.value })}
      />
      <div className={classes.pair}>
        <Autocomplete
          label="Interpreter"
          description="Empty: what the #! line says."
          data={INTERPRETERS}
          classNames={MONO}
          value={draft.interpreter}
          error={problems.interpreter}
          onChange={(interpreter) => onChange({ interpreter })}
        />
        <TextInput
          label="Arguments"
          description="Given to the script."
          classNames={MONO}
          spellCheck={false}
          autoComplete="off"
          value={draft.args}
          error={problems.args}
          onChange={(event) => onChange({ args: event.currentTarget.value })}
        />
      </div>
    </>
  );
}
