/** How an action names the devices it is about to touch. */
import { formatCount, listNames, plural } from "../../lib/text";
import classes from "./words.module.css";

/** "12 devices, 3 of them offline". @param {import("../../live/rows").Device[]} devices */
export function howMany(devices) {
  const offline = devices.filter(({ status }) => status !== "online").length;
  if (offline === 0) return plural(devices.length, "device");
  if (devices.length === 1) return "1 device, offline";
  return `${plural(devices.length, "device")}, ${offline === devices.length ? "all" : formatCount(offline)} of them offline`;
}

/** @param {{ devices: import("../../live/rows").Device[] }} props */
export function DeleteWords({ devices }) {
  return (
    <div>
      <p className={classes.words}>
        This deletes {howMany(devices)}:{" "}
        <b>
          {listNames(
            devices.map(({ device_name }) => device_name),
            8,
          )}
        </b>
        .
      </p>
      <p className={classes.words}>
        Their history goes too, their agents are cut off and their keys are no longer known. To have one back, add it as
        a new device.
      </p>
    </div>
  );
}
