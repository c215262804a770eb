/** Text that is edited where it stands: Enter keeps, Escape leaves it as it was. */
import { useEffect, useRef, useState } from "react";
import { ActionIcon, TextInput, Tooltip } from "@mantine/core";
import { Icon } from "./Icon";
import classes from "./InlineEdit.module.css";

/**
 * @param {{ value: string, label: string, maxLength: number, off?: string | null, onSave: (value: string) => void, children: import("react").ReactNode }} props
 * `off` is the reason why it cannot be edited now
 */
export function InlineEdit({ value, label, maxLength, off = null, onSave, children }) {
  const [draft, setDraft] = useState(/** @type {string | null} */ (null));
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const editing = draft !== null;

  useEffect(() => {
    if (!editing) return;
    input.current?.focus(); // selecting alone does not, everywhere
    input.current?.select();
  }, [editing]);

  function close() {
    setDraft(null);
    queueMicrotask(() => button.current?.focus());
  }

  /** @param {import("react").FormEvent} event */
  function save(event) {
    event.preventDefault();
    const text = (draft ?? "").trim();
    close();
    if (text && text !== value) onSave(text);
  }

  if (!editing) {
    return (
      <div className={classes.shown}>
        {children}
        <Tooltip label={off ?? label}>
          <ActionIcon
            ref={button}
            variant="subtle"
            color="gray"
            aria-label={label}
            data-disabled={off ? true : undefined}
            aria-disabled={off ? true : undefined}
            onClick={() => !off && setDraft(value)}
          >
            <Icon name="pencil" />
          </ActionIcon>
        </Tooltip>
      </div>
    );
  }
  return (
    <form className={classes.form} onSubmit={save}>
      <TextInput
        ref={input}
        aria-label={label}
        value={draft}
        maxLength={maxLength}
        onChange={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          close();
        }}
      />
      <ActionIcon type="submit" size="lg" variant="filled" aria-label="Save">
        <Icon name="trusted" />
      </ActionIcon>
      <ActionIcon size="lg" variant="default" aria-label="Cancel" onClick={close}>
        <Icon name="close" />
      </ActionIcon>
    </form>
  );
}
