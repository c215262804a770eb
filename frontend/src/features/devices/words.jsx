/** How an action names the devices it is about to touch. */
import { formatCount, listNames, plural } from "../../lib/text";
import classes from "./words.module.css";

/** ", 3 of them offline", or nothing. @param {import("../../live/rows").Device[]} devices */
export function howManyOffline(devices) {
  const offline = devices.filter(({ status }) => status !== "online").length;
  if (offline === 0) return "";
  if (devices.length === 1) return ", offline";
  return `, ${offline === devices.length ? "all" : formatCount(offline)} of them offline`;
}

/** "12 devices, 3 of them offline". @param {import("../../live/rows").Device[]} devices */
export const howMany = (devices) => `${plural(devices.length, "device")}${howManyOffline(devices)}`;

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
        {devices.length === 1
          ? "Its history goes too, its agent is cut off and its key is no longer known. To have it back, add it as a new device."
          : "Their history goes too, their agents are cut off and their keys are no longer known. To have one back, add it as a new device."}
      </p>
    </div>
  );
}
