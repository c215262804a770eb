/** The head of the device page: name, status with its cause, tags, owner, and what can be done. */
import { useState } from "react";
import { Button } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { InlineEdit } from "../../components/InlineEdit";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { usePending } from "../../live";
import { rename } from "../devices/actions";
import { STATES } from "../devices/states";
import { StateMark } from "../devices/StateMark";
import { Access } from "./Access";
import { DeviceActions } from "./DeviceActions";
import { Owner } from "./Owner";
import { TagEditor } from "./TagEditor";
import { useDeviceOff } from "./useDeviceOff";
import classes from "./Device.module.css";

const NAME_MAX = 128;

/** @typedef {import("../../live/rows").Device} Device */

/** @param {{ device: Device, onGone: () => void }} props */
export function DeviceHeader({ device, onGone }) {
  return (
    <header className={classes.header}>
      <div className={classes.first}>
        <Name device={device} />
      </div>
      <Status device={device} />
      <div className={classes.rowOfThings}>
        <TagEditor device={device} />
      </div>
      <div className={classes.rowOfThings}>
        <Owner device={device} />
        <DeviceActions device={device} onGone={onGone} />
      </div>
      <Access device={device} />
    </header>
  );
}

/** @param {{ device: Device }} props */
function Name({ device }) {
  const off = useDeviceOff(device);
  const pending = usePending(device.id);
  const [before, setBefore] = useState(/** @type {string | null} */ (null));
  const change = useMutation({
    mutationFn: (/** @type {string} */ name) => rename(device, name),
    onMutate: () => setBefore(device.device_name),
    onError: () => setBefore(null),
  });

  /** @param {string} name */
  function undoTo(name) {
    change.mutate(name, { onSettled: () => setBefore(null) });
  }

  return (
    <>
      <InlineEdit
        value={device.device_name}
        label="Rename"
        maxLength={NAME_MAX}
        off={off}
        onSave={(name) => change.mutate(name)}
      >
        <h2 className={classes.name} data-testid="device-name">
          {device.device_name}
        </h2>
      </InlineEdit>
      <div role="status">
        {pending && <span className="muted">Saving…</span>}
        {!pending && before !== null && before !== device.device_name && (
          <span className="muted">
            Renamed from {before}.{" "}
            <Button variant="subtle" size="compact-xs" onClick={() => undoTo(before)}>
              Undo
            </Button>
          </span>
        )}
      </div>
      {change.error && <ProblemBox error={change.error} what="The name stays as it was." />}
    </>
  );
}

/** @param {{ device: Device }} props */
function Status({ device }) {
  const { status, status_since, status_detail, trust, trust_reason } = device;
  return (
    <div className={classes.status} data-testid="device-status">
      <span className={classes.statusLine} data-offline={status === "offline" || undefined}>
        <StateMark state={status} />
        <span>
          {status_since && <Time at={status_since} lasting={status !== "offline"} />}
          {status_since && status_detail && ": "}
          {status_detail}
        </span>
      </span>
      {trust !== "trusted" && (
        <span className={classes.statusLine}>
          <StateMark state={trust} framed />
          <span className="muted">{trust_reason || STATES[trust].meaning}</span>
        </span>
      )}
    </div>
  );
}
