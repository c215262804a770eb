/** What stands in each column of a row. Kept small: dozens of these are made in one frame. */
import { Time } from "../../components/Time";
import { tagTexts } from "./columns";
import { StateMark } from "./StateMark";
import classes from "./DeviceTable.module.css";

/** @typedef {import("../../live/rows").Device} Device */

/** Offline says why and since when; the rest only since when. @param {{ device: Device }} props */
export function Status({ device }) {
  const { status, status_since, status_detail, trust } = device;
  const offline = status === "offline";
  return (
    <span className={classes.status}>
      <StateMark state={status} />
      {trust !== "trusted" && <StateMark state={trust} framed />}
      <span className={offline ? classes.why : classes.since} title={status_detail || undefined}>
        {status_since && <Time at={status_since} />}
        {offline && status_detail && `: ${status_detail}`}
      </span>
    </span>
  );
}

/** @param {{ device: Device }} props */
function Tags({ device }) {
  const texts = tagTexts(device);
  if (texts.length === 0) return null;
  return (
    <span className={classes.tags} title={texts.join("\n")}>
      {texts.map((text) => (
        <span key={text} className={classes.tag}>
          {text}
        </span>
      ))}
    </span>
  );
}

/** @type {Record<string, (device: Device) => import("react").ReactNode>} */
export const CELLS = {
  status: (device) => <Status device={device} />,
  hostname: (device) => device.hostname,
  platform: (device) => device.platform,
  address: (device) => device.ip_address,
  tags: (device) => <Tags device={device} />,
  version: (device) => device.agent_version,
  owner: (device) => device.owner,
  seen: (device) => <Time at={device.last_seen} />,
};
