/** Tags as people type them: `name=value`, or a name alone. */

/** @param {string} text @returns {{ name: string, value: string } | { problem: string }} */
export function parseTag(text) {
  const [name, ...rest] = text.trim().split("=");
  if (!name.trim()) return { problem: "A tag begins with a name, as in role=web." };
  if (/[\s,!()]/.test(name.trim())) return { problem: "A tag's name has no spaces, commas or brackets." };
  return { name: name.trim(), value: rest.join("=").trim() };
}

/**
 * The tags that a device's agent has in its settings, without those of which people have set another value.
 * @param {Pick<import("../../live/rows").Device, "tags" | "agent_tags">} device
 */
export const fromAgent = ({ tags, agent_tags }) => Object.entries(agent_tags).filter(([name]) => !(name in tags));
