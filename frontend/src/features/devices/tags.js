/** Tags as people type them: `name=value`, or a name alone. */

/** @param {string} text @returns {{ name: string, value: string } | { problem: string }} */
export function parseTag(text) {
  const [name, ...rest] = text.trim().split("=");
  if (!name.trim()) return { problem: "A tag begins with a name, as in role=web." };
  if (/[\s,!()]/.test(name.trim())) return { problem: "A tag's name has no spaces, commas or brackets." };
  return { name: name.trim(), value: rest.join("=").trim() };
}

/** @typedef {Pick<import("../../live/rows").Device, "tags" | "agent_tags">} Tagged */

/** "role=web", or "laptop" for a tag without a value. @param {[string, string]} tag */
export const tagText = ([name, value]) => (value ? `${name}=${value}` : name);

/**
 * The tags that a device's agent has in its settings, without those of which people have set another value.
 * @param {Tagged} device
 */
export const fromAgent = ({ tags, agent_tags }) => Object.entries(agent_tags).filter(([name]) => !(name in tags));

/** Those that people have set. @param {Pick<Tagged, "tags">} device */
export const ownTagTexts = ({ tags }) => Object.entries(tags).map(tagText);

/** All that count: those that people have set, then those of the agent. @param {Tagged} device */
export const tagTexts = (device) => [...ownTagTexts(device), ...fromAgent(device).map(tagText)];

/**
 * Which devices have the tags that were chosen: one of the values of each name, as in `role in (web,db),site=berlin`.
 * @param {string[]} chosen texts of tags
 * @returns {(device: Tagged) => boolean}
 */
export function tagMatcher(chosen) {
  const byName = new Map();
  for (const text of chosen) {
    const [name] = text.split("=");
    byName.set(name, [...(byName.get(name) ?? []), text]);
  }
  const wanted = [...byName.values()];
  return (device) => {
    const texts = tagTexts(device);
    return wanted.every((values) => values.some((/** @type {string} */ text) => texts.includes(text)));
  };
}
