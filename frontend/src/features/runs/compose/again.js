/** The draft that asks for a run once more. Values of its environment are not known any longer: only their names stand there. */
import { draftOf } from "./draft";

/** @param {import("../api").RunDetail} run @returns {Partial<import("./draft").Draft>} */
export function again(run) {
  const env = Object.fromEntries(run.env_names.map((name) => [name, ""]));
  return {
    ...draftOf({ ...run, env }),
    ...(run.selector === null ? {} : { by: /** @type {const} */ ("selector"), selector: run.selector }),
  };
}
