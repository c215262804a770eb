/** Above the output: search, which stream, wrapping, copying, and the bytes themselves. */
import { useState } from "react";
import { ActionIcon, Button, Menu, SegmentedControl, TextInput, Tooltip } from "@mantine/core";
import { Icon } from "../../../components/Icon";
import { copyText } from "../../../lib/clipboard";
import { formatCount } from "../../../lib/text";
import { rawOutputUrl } from "../api";
import { MATCHES_MOST, textOf } from "./search";
import classes from "./Output.module.css";

const STREAMS = [
  { value: "0", label: "Both" },
  { value: "1", label: "stdout" },
  { value: "2", label: "stderr" },
];
const SAID_MS = 2500;

/**
 * @param {{ task: import("../../../live/runs").Task, rows: import("./ansi").Row[], whole: boolean, search: ReturnType<typeof import("./useSearch").useSearch>, stream: number, onStream: (stream: number) => void, wrap: boolean, onWrap: (wrap: boolean) => void }} props
 * `whole`: all there is is loaded
 */
export function OutputTools({ task, rows, whole, search, stream, onStream, wrap, onWrap }) {
  const [said, setSaid] = useState("");

  async function copy() {
    const copied = await copyText(textOf(rows));
    setSaid(!copied ? "Not copied: this browser refuses" : whole ? "Copied" : "Copied what is loaded");
    setTimeout(() => setSaid(""), SAID_MS);
  }

  return (
    <div className={classes.tools}>
      <Search search={search} />
      <div className={classes.right}>
        <SegmentedControl
          size="xs"
          aria-label="Which stream"
          data={STREAMS}
          value={String(stream)}
          onChange={(value) => onStream(Number(value))}
        />
        <Button
          size="compact-sm"
          variant={wrap ? "light" : "default"}
          aria-pressed={wrap}
          onClick={() => onWrap(!wrap)}
        >
          Wrap
        </Button>
        <Tooltip label={said || (whole ? "Copy all of it" : "Copy what is loaded")}>
          <ActionIcon variant="default" size="md" aria-label="Copy the output" onClick={copy}>
            <Icon name={said.startsWith("Copied") ? "trusted" : "copy"} />
          </ActionIcon>
        </Tooltip>
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" size="md" aria-label="Download the output">
              <Icon name="download" />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item component="a" href={rawOutputUrl(task.id, "stdout")} download>
              stdout, byte for byte
            </Menu.Item>
            <Menu.Item component="a" href={rawOutputUrl(task.id, "stderr")} download>
              stderr, byte for byte
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
        <span className="visually-hidden" role="status">
          {said}
        </span>
      </div>
    </div>
  );
}

/** @param {{ search: ReturnType<typeof import("./useSearch").useSearch> }} props */
function Search({ search }) {
  const { text, matches, current, further, more } = search;
  return (
    <div className={classes.search}>
      <TextInput
        size="xs"
        type="search"
        aria-label="Search the output"
        placeholder="Search the output"
        leftSection={<Icon name="search" size={14} />}
        value={text}
        onChange={(event) => search.change(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") search.step(event.shiftKey ? -1 : 1);
          if (event.key === "Escape" && text) {
            event.stopPropagation();
            search.change("");
          }
        }}
      />
      {text && (
        <>
          <ActionIcon variant="default" size="md" aria-label="Previous match" onClick={() => search.step(-1)}>
            <Icon name="up" size={14} />
          </ActionIcon>
          <ActionIcon variant="default" size="md" aria-label="Next match" onClick={() => search.step(1)}>
            <Icon name="down" size={14} />
          </ActionIcon>
          <span role="status" className={classes.matches} data-testid="output-matches">
            {further ? words(further) : found(matches.length, current, more)}
          </span>
          {further && "share" in further && (
            <Button size="compact-xs" variant="default" onClick={search.stop}>
              Stop
            </Button>
          )}
        </>
      )}
    </div>
  );
}

/** @param {number} count @param {number} current @param {boolean} more */
function found(count, current, more) {
  const here = more ? " here; next searches on" : "";
  if (count === 0) return `None${here}`;
  return `${formatCount(current + 1)} of ${formatCount(count)}${count === MATCHES_MOST ? "+" : ""}${here}`;
}

/** @param {{ share: number } | { none: true } | { error: string }} further */
function words(further) {
  if ("share" in further) return `Searching on, ${Math.floor(further.share * 100)} %`;
  return "none" in further ? "None further on" : further.error;
}
