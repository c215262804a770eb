/** The one draft of a run: it outlives the page it is typed on, and goes with the user. */
import { onForget } from "../../../live";
import { createAtom } from "../../../lib/atom";
import { EMPTY } from "./draft";

export const draft = createAtom(EMPTY);
onForget(() => draft.set(EMPTY));

/** @param {Partial<import("./draft").Draft>} change */
export const changeDraft = (change) => draft.set((now) => ({ ...now, ...change }));

/** The next run is for these devices. @param {number[]} ids */
export const aimAt = (ids) => changeDraft({ by: "devices", ids });
