/**
 * What a field of text of the form needs.
 *
 * @typedef {object} PartProps
 * @property {import("./draft").Draft} draft
 * @property {import("./draft").Problems} problems
 * @property {(change: Partial<import("./draft").Draft>) => void} onChange
 */

/** @param {PartProps} part @param {keyof import("./draft").Draft} field */
export function textProps({ draft, problems, onChange }, field) {
  return {
    value: String(draft[field] ?? ""),
    error: problems[field],
    autoComplete: "off",
    spellCheck: false,
    onChange: (/** @type {import("react").ChangeEvent<HTMLInputElement | HTMLTextAreaElement>} */ event) =>
      onChange({ [field]: event.currentTarget.value }),
  };
}
