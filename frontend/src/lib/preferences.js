/** What this user likes, kept in this browser. */
import { createStoredAtom } from "./storage";

/** @typedef {"toast" | "list"} NoticeMode whether devices that come and go show a toast, or only a line in the list */

/** @param {unknown} value @returns {value is NoticeMode} */
const isMode = (value) => value === "toast" || value === "list";

export const noticeMode = createStoredAtom("deployx.notices", /** @type {NoticeMode} */ ("toast"), isMode);
