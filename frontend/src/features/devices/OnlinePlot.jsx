/**
 * Devices online over time. What was not recorded is a gap; the last point is the live number. Devices that others share
 * are in neither: it is not recorded who saw what.
 */
import { Suspense, useMemo, useState } from "react";
import { SegmentedControl, Skeleton } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { piece } from "../../components/Piece";
import { ProblemBox } from "../../components/ProblemBox";
import { useLink, useLive } from "../../live";
import { api, ask } from "../../lib/api";
import { now } from "../../lib/clock";
import { useMe } from "../auth/session";
import { formatCount } from "../../lib/text";
import { lowest, seriesOf } from "./plotData";
import classes from "./OnlinePlot.module.css";

const LinePlot = piece(() => import("./LinePlot"), { what: "The plot" });

const WINDOWS = /** @type {const} */ ([
  { value: "24h", label: "24 h", words: "the last 24 hours" },
  { value: "7d", label: "7 d", words: "the last 7 days" },
  { value: "30d", label: "30 d", words: "the last 30 days" },
]);

/** @typedef {(typeof WINDOWS)[number]["value"]} Window */

/** @param {Window} window */
const useOnline = (window) =>
  useQuery({
    queryKey: ["stats", "online", window],
    queryFn: () => ask(api.GET("/api/v1/stats/online", { params: { query: { window } } })),
    placeholderData: keepPreviousData,
    refetchInterval: ({ state }) => Math.max(30, state.data?.step_s ?? 60) * 1000,
  });

/** How many devices are this user's own. @param {import("../../live/rows").LiveState["devices"]} devices @param {number} id @param {boolean} [online] only those that are online */
function ownOf(devices, id, online = false) {
  let count = 0;
  for (const device of devices.values()) if (device.user_id === id && (!online || device.status === "online")) count++;
  return count;
}

export function OnlinePlot() {
  const [window, setWindow] = useState(/** @type {Window} */ ("24h"));
  const history = useOnline(window);
  const me = useMe();
  const whose = me && me.role !== "admin" ? me.id : null;
  const online = useLive((state) => (whose === null ? state.counts.online : ownOf(state.devices, whose, true)));
  const total = useLive((state) => (whose === null ? state.counts.total : ownOf(state.devices, whose)));
  const shared = useLive((state) => state.counts.total > total);
  const live = useLink().state === "live";
  const series = useMemo(
    () => history.data && seriesOf(history.data, live ? { at: now(), online, total } : null),
    [history.data, live, online, total],
  );
  const words = WINDOWS.find(({ value }) => value === window)?.words;

  return (
    <section className={classes.panel} aria-label="Devices online over time">
      <div className={classes.head}>
        <h2 className={classes.title}>
          Online <b className={classes.more}>over time</b>
          {live && (
            <span className={`muted ${classes.now}`}>
              {" "}
              now {formatCount(online)} of {formatCount(total)}
              {shared && " of your own"}
            </span>
          )}
        </h2>
        <SegmentedControl
          className={classes.spans}
          size="xs"
          aria-label="Time span"
          value={window}
          onChange={(value) => setWindow(/** @type {Window} */ (value))}
          data={WINDOWS.map(({ value, label }) => ({ value, label }))}
        />
      </div>
      {history.error && !series ? (
        <ProblemBox error={history.error} what="The plot cannot be shown." onRetry={() => history.refetch()} />
      ) : (
        <div className={classes.plot}>
          <Suspense fallback={<Skeleton height="100%" />}>
            {series ? (
              <LinePlot
                series={series}
                label={`Devices online over ${words}: now ${formatCount(online)}, lowest ${lowest(series)}.`}
              />
            ) : (
              <Skeleton height="100%" />
            )}
          </Suspense>
        </div>
      )}
    </section>
  );
}
