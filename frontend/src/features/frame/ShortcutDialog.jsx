/** The keys, and what each does. */
import { Modal } from "@mantine/core";
import classes from "./ShortcutDialog.module.css";

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

/** @param {{ onClose: () => void }} props */
export default function ShortcutDialog({ onClose }) {
  return (
    <Modal opened onClose={onClose} title="Keyboard shortcuts" closeButtonProps={{ "aria-label": "Close" }}>
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
