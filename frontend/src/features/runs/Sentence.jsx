/** A sentence of the server's whose moments are shown in the reader's own time: they come as ISO 8601 in UTC. */
import { exactTime } from "../../lib/time";
import { now } from "../../lib/clock";

const MOMENT = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)/;
const timeFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const dayFormat = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "numeric",
  minute: "2-digit",
});
const DAY_MS = 86_400_000;

/** The time, and the day where it is another one. @param {string} iso */
function shortTime(iso) {
  const at = Date.parse(iso);
  const near = Math.abs(at - now()) < DAY_MS && new Date(at).getDate() === new Date(now()).getDate();
  return (near ? timeFormat : dayFormat).format(at);
}

/** @param {string} text */
export const readable = (text) => text.replace(new RegExp(MOMENT, "g"), shortTime);

/** @param {{ text: string }} props */
export function Sentence({ text }) {
  return text.split(MOMENT).map((part, index) =>
    index % 2 ? (
      <time key={index} dateTime={part} title={exactTime(part)}>
        {shortTime(part)}
      </time>
    ) : (
      part
    ),
  );
}
