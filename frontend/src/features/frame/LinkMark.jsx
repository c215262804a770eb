/** How the link to the server is, in an icon and a word. */
import { Tooltip } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { useLink } from "../../live";
import classes from "./LinkMark.module.css";

/** @type {Record<import("../../live/linkStates").LinkState, { word: string, icon: string, meaning: string }>} */
const MARKS = {
  idle: { word: "Not connected", icon: "unlink", meaning: "Nobody is signed in." },
  connecting: { word: "Connecting", icon: "sync", meaning: "Connecting to the server." },
  syncing: { word: "Loading", icon: "sync", meaning: "Connected; the list of devices is arriving." },
  live: { word: "Live", icon: "link", meaning: "Changes appear here as they happen." },
  lost: { word: "Link lost", icon: "unlink", meaning: "What is shown may no longer be true." },
};

export function LinkMark() {
  const { state } = useLink();
  const { word, icon, meaning } = MARKS[state];
  return (
    <Tooltip label={meaning}>
      <span className={classes.mark} data-state={state} data-testid="link-state" role="status">
        <Icon name={icon} />
        <span className={classes.word}>{word}</span>
      </span>
    </Tooltip>
  );
}
