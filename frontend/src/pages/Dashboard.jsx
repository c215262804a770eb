/** The devices: how many are in which state, what waits for a person, and the live list; a device opens beside it. */
import { Suspense, useCallback, useEffect, useState } from "react";
import { useMediaQuery } from "@mantine/hooks";
import { Outlet, useNavigate, useParams } from "@tanstack/react-router";
import { piece } from "../components/Piece";
import { useTitle } from "../components/Page";
import { Counters } from "../features/devices/Counters";
import { DeviceTable } from "../features/devices/DeviceTable";
import { ListStatus } from "../features/devices/ListStatus";
import { NoMatch } from "../features/devices/NoMatch";
import { OnlinePlot } from "../features/devices/OnlinePlot";
import { NOTHING } from "../features/devices/selection";
import { TableSkeleton } from "../features/devices/TableSkeleton";
import { NO_FILTERS, Toolbar } from "../features/devices/Toolbar";
import { useOrder } from "../features/devices/useOrder";
import { useView } from "../features/devices/useView";
import { INSTEAD_OF_LIST, NARROW_LIST } from "../features/devices/widths";
import { Welcome } from "../features/enroll/Welcome";
import { useLive, useLoaded } from "../live";
import classes from "./Dashboard.module.css";

const SelectionBar = piece(() => import("../features/devices/SelectionBar"), { what: "What can be done with them" });
const Attention = piece(() => import("../features/attention/Attention"), { what: "Who waits for you" });

/** @param {string} query */
const useWidth = (query) => useMediaQuery(query, undefined, { getInitialValueInEffect: false }) ?? false;

export function Dashboard() {
  const { deviceId } = useParams({ strict: false });
  const openId = deviceId === undefined ? null : Number(deviceId);
  const loaded = useLoaded();
  const total = useLive((state) => state.counts.total);
  const claims = useLive((state) => state.claims.length);
  useTitle(openId === null ? "Devices" : null);
  useEffect(() => {
    if (!loaded) return;
    import("./Device").catch(() => {}); // so that the first device opens at once
    void SelectionBar.preload();
  }, [loaded]);

  return (
    <div className={classes.page} data-open={openId === null ? undefined : true}>
      <h1 className="visually-hidden">Devices</h1>
      <div className={classes.list} data-scrolls>
        <Welcome empty={loaded && total + claims === 0} />
        {loaded && total + claims === 0 ? null : <Devices openId={openId} loaded={loaded} total={total} />}
      </div>
      <Outlet />
    </div>
  );
}

/** @param {{ openId: number | null, loaded: boolean, total: number }} props */
function Devices({ openId, loaded, total }) {
  const { view, change } = useView();
  const { ids, moved, resort } = useOrder(view);
  const [selection, setSelection] = useState(NOTHING);
  const waiting = useLive(({ claims, counts }) => claims.length + counts.pending);
  const narrow = useWidth(NARROW_LIST);
  const instead = useWidth(INSTEAD_OF_LIST);
  const navigate = useNavigate();
  const open = useCallback(
    /** @param {number} id */
    (id) =>
      void navigate({
        to: "/devices/$deviceId",
        params: { deviceId: String(id) },
        search: true,
        replace: !instead && openId !== null,
      }),
    [navigate, instead, openId],
  );

  const count = <ListStatus shown={ids.length} total={loaded ? total : null} moved={moved.size} onResort={resort} />;
  return (
    <>
      <div className={classes.above}>
        <div className={classes.top}>
          <Counters view={view} onChange={change} />
          <OnlinePlot />
        </div>
        {waiting > 0 && (
          <Suspense fallback={null}>
            <Attention
              compact={narrow || openId !== null}
              onShowPending={() => change({ ...NO_FILTERS, trust: ["pending"] })}
            />
          </Suspense>
        )}
        <Toolbar view={view} onChange={change} />
        {selection.ids.size > 0 ? (
          <Suspense fallback={count}>
            <SelectionBar selection={selection} matching={ids} onSelect={setSelection} />
          </Suspense>
        ) : (
          count
        )}
      </div>
      {!loaded && <TableSkeleton narrow={narrow} />}
      {loaded && ids.length === 0 && <NoMatch onClear={() => change(NO_FILTERS)} />}
      {loaded && ids.length > 0 && (
        <DeviceTable
          view={view}
          onChange={change}
          order={{ ids, moved }}
          selection={selection}
          onSelect={setSelection}
          openId={openId}
          onOpen={open}
          onEscape={() => openId !== null && navigate({ to: "/", search: true })}
          narrow={narrow}
        />
      )}
    </>
  );
}
