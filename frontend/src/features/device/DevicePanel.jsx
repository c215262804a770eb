/** A device, whole: its head and its tabs. */
import { Suspense, useEffect, useRef } from "react";
import { ActionIcon, Skeleton, Stack, Tabs } from "@mantine/core";
import { Icon } from "../../components/Icon";
import { piece } from "../../components/Piece";
import { useDevice, useLoaded } from "../../live";
import { DeviceHeader } from "./DeviceHeader";
import { Facts } from "./Facts";
import { History } from "./History";
import { Policy } from "./Policy";
import { Timeline } from "./Timeline";
import classes from "./Device.module.css";

const DeviceDeployments = piece(() => import("../deployments/DeviceDeployments"), { what: "Its deployments" });
const DeviceSoftware = piece(() => import("../software/DeviceSoftware"), { what: "Its software" });
const DeviceTasks = piece(() => import("../runs/DeviceTasks"), { what: "Its runs" });
const RECENT = 5;

/** @param {{ id: number, narrow: boolean, onClose: () => void }} props */
export function DevicePanel({ id, narrow, onClose }) {
  const device = useDevice(id);
  const loaded = useLoaded();
  const panel = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (narrow) panel.current?.focus(); // the row that was pressed is no longer there
  }, [narrow, id]);
  return (
    <aside
      ref={panel}
      tabIndex={-1}
      className={classes.panel}
      aria-label={device ? `Device ${device.device_name}` : "Device"}
      data-narrow={narrow || undefined}
    >
      <ActionIcon
        className={classes.close}
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={narrow ? "Back to the list" : "Close the device"}
        onClick={onClose}
      >
        <Icon name={narrow ? "left" : "close"} />
      </ActionIcon>
      {device ? <Known key={id} device={device} onGone={onClose} /> : loaded ? <Gone /> : <Loading />}
    </aside>
  );
}

/** @param {{ device: import("../../live/rows").Device, onGone: () => void }} props */
function Known({ device, onGone }) {
  return (
    <>
      <DeviceHeader device={device} onGone={onGone} />
      <Tabs defaultValue="overview" keepMounted={false}>
        <Tabs.List aria-label="Parts of this page">
          <Tabs.Tab value="overview">Overview</Tabs.Tab>
          <Tabs.Tab value="runs">Runs</Tabs.Tab>
          <Tabs.Tab value="deployments">Deployments</Tabs.Tab>
          <Tabs.Tab value="software">Software</Tabs.Tab>
          <Tabs.Tab value="history">History</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="overview" className={classes.tab}>
          <h3 className={classes.source}>Last 7 days</h3>
          <Timeline device={device} />
          <h3 className={classes.source}>Came and went</h3>
          <History device={device} first={RECENT} />
          <Facts device={device} />
          <Policy device={device} />
        </Tabs.Panel>
        <Tabs.Panel value="runs" className={classes.tab}>
          <Suspense fallback={<Skeleton height={120} />}>
            <DeviceTasks device={device} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="deployments" className={classes.tab}>
          <Suspense fallback={<Skeleton height={120} />}>
            <DeviceDeployments device={device} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="software" className={classes.tab}>
          <Suspense fallback={<Skeleton height={120} />}>
            <DeviceSoftware device={device} />
          </Suspense>
        </Tabs.Panel>
        <Tabs.Panel value="history" className={classes.tab}>
          <History device={device} />
        </Tabs.Panel>
      </Tabs>
    </>
  );
}

function Gone() {
  return (
    <div className={classes.gone}>
      <h2 className={classes.name}>This device is not there</h2>
      <p className="muted">It was deleted, or it belongs to somebody else. Go back to the list to find another one.</p>
    </div>
  );
}

function Loading() {
  return (
    <Stack gap="md" p="md" role="status" aria-label="Loading the device">
      <Skeleton height={26} width="50%" />
      <Skeleton height={18} width="70%" />
      <Skeleton height={18} width="40%" />
      <Skeleton height={64} />
      <Skeleton height={160} />
    </Stack>
  );
}
