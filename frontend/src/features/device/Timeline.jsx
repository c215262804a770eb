/** Seven days of presence as one bar: green where it was online, red and hatched where it was offline, empty where nothing is known. */
import { useSyncExternalStore } from "react";
import { Skeleton } from "@mantine/core";
import { ProblemBox } from "../../components/ProblemBox";
import { now, onTick } from "../../lib/clock";
import { plural } from "../../lib/text";
import { duration, exactTime } from "../../lib/time";
import { STATES } from "../devices/states";
import { DAY_MS, WINDOW_DAYS, segmentsOf, summary } from "./segments";
import { useWeek } from "./useHistory";
import classes from "./Timeline.module.css";

const MINUTE_MS = 60_000;
const WIDTH = 1000;
const THINNEST = 3;
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "short" });

/** Now, to the minute: the bar need not move more often. */
const useMinute = () => useSyncExternalStore(onTick, () => Math.ceil(now() / MINUTE_MS) * MINUTE_MS);

/** @param {ReturnType<typeof summary>} of */
function words({ share, times, longestS }) {
  if (share === null) return "Nothing is recorded for the last 7 days.";
  const percent = share === 1 ? "100" : Math.min(99.9, share * 100).toFixed(1);
  if (times === 0) return `Online ${percent} % of what is recorded in the last 7 days.`;
  return `Online ${percent} % of what is recorded in the last 7 days; offline ${plural(times, "time")}, at most ${duration(longestS)} at a stretch.`;
}

/** @param {{ device: import("../../live/rows").Device }} props */
export function Timeline({ device }) {
  const week = useWeek(device);
  const to = useMinute();
  const from = to - WINDOW_DAYS * DAY_MS;
  if (week.error && !week.data) {
    return <ProblemBox error={week.error} what="The timeline cannot be shown." onRetry={() => week.refetch()} />;
  }
  if (!week.data) return <Skeleton height={64} />;
  const segments = segmentsOf(week.data.events, device, from, to);
  const text = words(summary(segments));
  /** @param {number} at */
  const x = (at) => ((at - from) / (to - from)) * WIDTH;
  return (
    <figure className={classes.figure} data-testid="timeline">
      <svg className={classes.bar} viewBox={`0 0 ${WIDTH} 28`} preserveAspectRatio="none" role="img" aria-label={text}>
        <defs>
          <pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="8" height="8" className={classes.offlineGround} />
            <rect width="3" height="8" className={classes.offlineLine} />
          </pattern>
        </defs>
        {segments.map(({ status, from: start, to: end, detail }) => (
          <rect
            key={start}
            className={classes[status]}
            fill={status === "offline" ? "url(#hatch)" : undefined}
            x={Math.min(x(start), WIDTH - THINNEST)}
            y={0}
            width={Math.max(THINNEST, x(end) - x(start))}
            height={28}
          >
            <title>{`${STATES[status].word} from ${exactTime(new Date(start).toISOString())} for ${duration((end - start) / 1000)}${detail ? `: ${detail}` : ""}`}</title>
          </rect>
        ))}
      </svg>
      <div className={classes.days} aria-hidden="true">
        {Array.from({ length: WINDOW_DAYS }, (_, day) => (
          <span key={day}>{day === WINDOW_DAYS - 1 ? "last 24 h" : dayFormat.format(from + (day + 0.5) * DAY_MS)}</span>
        ))}
      </div>
      <figcaption className="muted">
        {text}
        {!week.data.whole && " It changed too often to show all of it."}
      </figcaption>
    </figure>
  );
}
