/** The keys, behind `?`. */
import { Modal } from "@mantine/core";
import { useAtom } from "../../lib/atom";
import { useKeys } from "../../lib/useKeys";
import { helpOpened } from "./paletteState";
import classes from "./ShortcutHelp.module.css";

const KEYS = [
  ["Ctrl K", "Find a device, page or action"],
  ["/", "Search the list"],
  ["j, k", "Next, previous device"],
  ["Enter", "Open the device"],
  ["x", "Select the device"],
  ["Shift x", "Select from the last selected device to here"],
  ["Esc", "Close the device, or clear the selection"],
  ["?", "Show these keys"],
];

export function ShortcutHelp() {
  const opened = useAtom(helpOpened);
  useKeys({ "?": () => helpOpened.set(true) });
  return (
    <Modal
      opened={opened}
      onClose={() => helpOpened.set(false)}
      title="Keyboard shortcuts"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <dl className={classes.keys}>
        {KEYS.map(([key, meaning]) => (
          <div key={key} className={classes.row}>
            <dt>
              <kbd className={classes.key}>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
