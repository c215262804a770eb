/** The columns of the device list: what each is called, how wide it starts, and by what it is sorted. */
import { naturalKey } from "../../lib/text";
import { statusRank } from "./states";
import { tagTexts } from "./tags";

/** @typedef {import("../../live/rows").Device} Device */

/** @type {{ id: string, label: string, size: number, minSize: number, key: (device: Device) => string }[]} */
export const COLUMNS = [
  { id: "status", label: "Status", size: 228, minSize: 96, key: (d) => `${statusRank(d)}${d.status_since ?? ""}` },
  { id: "name", label: "Name", size: 172, minSize: 96, key: (d) => naturalKey(d.device_name) },
  { id: "hostname", label: "Hostname", size: 120, minSize: 72, key: (d) => naturalKey(d.hostname) },
  { id: "platform", label: "Platform", size: 92, minSize: 72, key: (d) => naturalKey(d.platform) },
  { id: "address", label: "Address", size: 118, minSize: 72, key: (d) => naturalKey(d.ip_address) },
  { id: "tags", label: "Tags", size: 136, minSize: 64, key: (d) => naturalKey(tagTexts(d).join(" ")) },
  { id: "version", label: "Agent", size: 72, minSize: 56, key: (d) => naturalKey(d.agent_version) },
  { id: "owner", label: "Owner", size: 118, minSize: 64, key: (d) => d.owner ?? "\uffff" },
  { id: "seen", label: "Last seen", size: 104, minSize: 80, key: (d) => d.last_seen ?? "" },
];

export const COLUMN_IDS = COLUMNS.map(({ id }) => id);

/** @param {string} id */
export const columnOf = (id) => COLUMNS.find((column) => column.id === id);
