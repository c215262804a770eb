/** A device's tags: each can be taken away, and another one added, where they stand. */
import { useState } from "react";
import { TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { changeTags } from "../devices/actions";
import { fromAgent, parseTag } from "../devices/tags";
import { useDeviceOff } from "./useDeviceOff";
import classes from "./Device.module.css";

/** @param {{ device: import("../../live/rows").Device }} props */
export function TagEditor({ device }) {
  const off = useDeviceOff(device);
  const [text, setText] = useState(/** @type {string | null} */ (null));
  const [problem, setProblem] = useState("");
  const change = useMutation({
    mutationFn: (/** @type {(tags: Record<string, string>) => Record<string, string>} */ how) =>
      changeTags(device, how),
  });

  /** @param {import("react").FormEvent} event */
  function add(event) {
    event.preventDefault();
    const tag = parseTag(text ?? "");
    if ("problem" in tag) return setProblem(tag.problem);
    change.mutate((tags) => ({ ...tags, [tag.name]: tag.value }));
    setText(null);
  }

  return (
    <div className={classes.tags} role="group" aria-label="Tags">
      {Object.entries(device.tags).map(([name, value]) => (
        <span key={name} className={classes.tag}>
          {value ? `${name}=${value}` : name}
          <button
            type="button"
            className={classes.untag}
            aria-label={`Remove the tag ${name}`}
            aria-disabled={off ? true : undefined}
            title={off ?? undefined}
            onClick={() => !off && change.mutate(({ [name]: _gone, ...rest }) => rest)}
          >
            <Icon name="close" size={12} />
          </button>
        </span>
      ))}
      {fromAgent(device).map(([name, value]) => (
        <span
          key={name}
          className={classes.tag}
          data-agents
          title="From the settings of its agent, where it can be changed"
        >
          {value ? `${name}=${value}` : name}
        </span>
      ))}
      {text === null ? (
        <OffButton
          off={off}
          size="compact-xs"
          variant="subtle"
          leftSection={<Icon name="plus" size={12} />}
          onClick={() => setText("")}
        >
          Add tag
        </OffButton>
      ) : (
        <form onSubmit={add}>
          <TextInput
            size="xs"
            aria-label="New tag"
            placeholder="role=web, then Enter"
            // The field replaces the button that was just pressed.
            ref={(field) => field?.focus()}
            value={text}
            maxLength={120}
            error={problem || null}
            onChange={(event) => {
              setText(event.currentTarget.value);
              setProblem("");
            }}
            onBlur={() => !text && setText(null)}
            onKeyDown={(event) => {
              if (event.key !== "Escape") return;
              event.stopPropagation();
              setText(null);
            }}
          />
        </form>
      )}
      {change.error && <ProblemBox error={change.error} what="The tags stay as they were." />}
    </div>
  );
}
