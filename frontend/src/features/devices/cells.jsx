/** What stands in each column of a row. Kept small: dozens of these are made in one frame. */
import { Time } from "../../components/Time";
import { StateMark } from "./StateMark";
import { fromAgent, ownTagTexts, tagText } from "./tags";
import classes from "./DeviceTable.module.css";

/** @typedef {import("../../live/rows").Device} Device */

/** Offline says when and why; the rest only for how long. @param {{ device: Device }} props */
export function Status({ device }) {
  const { status, status_since, status_detail, trust } = device;
  const offline = status === "offline";
  return (
    <span className={classes.status}>
      <StateMark state={status} />
      {trust !== "trusted" && <StateMark state={trust} framed />}
      <span className={offline ? classes.why : classes.since} title={status_detail || undefined}>
        {status_since && <Time at={status_since} lasting={!offline} />}
        {offline && status_detail && `: ${status_detail}`}
      </span>
    </span>
  );
}

/** Those of the agent have another frame. @param {{ device: Device, room: number }} props `room`: for how many there is room */
function Tags({ device, room }) {
  const own = ownTagTexts(device);
  const agents = fromAgent(device).map(tagText);
  const texts = [...own, ...agents];
  if (texts.length === 0) return null;
  const title = [...own, ...agents.map((text) => `${text} (from its agent's settings)`)].join("\n");
  return (
    <span className={classes.tags} title={title}>
      {texts.slice(0, room).map((text, index) => (
        <span key={text} className={classes.tag} data-agents={index >= own.length || undefined}>
          {text}
        </span>
      ))}
      {texts.length > room && <span className={classes.moreTags}>+{texts.length - room}</span>}
    </span>
  );
}

/** @type {Record<string, (device: Device, tagRoom: number) => import("react").ReactNode>} */
export const CELLS = {
  status: (device) => <Status device={device} />,
  hostname: (device) => device.hostname,
  platform: (device) => device.platform,
  address: (device) => device.ip_address,
  tags: (device, tagRoom) => <Tags device={device} room={tagRoom} />,
  version: (device) => device.agent_version,
  owner: (device) => device.owner,
  seen: (device) => <Time at={device.last_seen} />,
};
