/** What is known about a device, and who says so. */
import { Time } from "../../components/Time";
import { formatBytes } from "../../lib/text";
import { StateMark } from "../devices/StateMark";
import classes from "./Device.module.css";

/** Names of facts as people say them. @type {Record<string, string>} */
const LABELS = {
  os: "Operating system",
  kernel: "Kernel",
  arch: "Architecture",
  cpus: "Processors",
  cpu_model: "Processor",
  memory_bytes: "Memory",
  boot_time: "Started",
  timezone: "Time zone",
  python: "Python",
};

/** @param {string} name */
const labelOf = (name) => LABELS[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

/** @param {string} name @param {string} value */
function shown(name, value) {
  if (name.endsWith("_bytes") && /^\d+$/.test(value)) return formatBytes(Number(value));
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return <Time at={value} />;
  return value;
}

/** @param {{ title: string, note: import("react").ReactNode, rows: [string, import("react").ReactNode][] }} props */
function Group({ title, note, rows }) {
  return (
    <div>
      <h3 className={classes.source}>
        {title} <span className="muted">{note}</span>
      </h3>
      <dl className={classes.facts}>
        {rows.map(([label, value]) => (
          <div key={label} className={classes.fact}>
            <dt>{label}</dt>
            <dd>{value || <span className="muted">not given</span>}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

/** @param {{ device: import("../../live/rows").Device }} props */
export function Facts({ device }) {
  const said = Object.entries(device.facts).map(
    ([name, value]) => /** @type {[string, import("react").ReactNode]} */ ([labelOf(name), shown(name, value)]),
  );
  return (
    <div className={classes.groups}>
      <Group
        title="The agent says"
        note="as of its last registration"
        rows={[
          ["Hostname", device.hostname],
          ["Platform", device.platform],
          ["Address", device.ip_address],
          [
            "Machine id",
            <span key="m" className="mono">
              {device.machine_id}
            </span>,
          ],
          ["Agent version", device.agent_version],
          ...said,
        ]}
      />
      <Group
        title="The server sees"
        note="now"
        rows={[
          ["Trust", <StateMark key="t" state={device.trust} />],
          ["Why", device.trust_reason || (device.trust === "trusted" ? "It was accepted." : "")],
          ["Identity", device.keyed ? "A key of its own" : "No key: unverified"],
          ["Source address", device.source_ip],
          ["Last seen", <Time key="s" at={device.last_seen} />],
          ["First seen", <Time key="c" at={device.created_at} />],
          [
            "Agent id",
            <span key="a" className="mono">
              {device.agent_id}
            </span>,
          ],
        ]}
      />
    </div>
  );
}
