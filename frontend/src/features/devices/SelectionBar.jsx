/** What can be done with the selected devices; each action says how many they are and how many of them are offline. */
import { useState } from "react";
import { Button, Progress } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { store, useLive } from "../../live";
import { formatCount, plural } from "../../lib/text";
import { idsText } from "../deployments/wizard/ids";
import { GroupDialog } from "../groups/GroupDialog";
import { aimAt } from "../runs/compose/draftState";
import { acceptDevice, deleteDevice } from "./actions";
import { useBulk } from "./bulk";
import { BulkFailures } from "./BulkFailures";
import { NOTHING, selectAll, selectedDevices } from "./selection";
import { TagDialog } from "./TagDialog";
import { useActOff } from "./useActOff";
import { DeleteWords, howManyOffline } from "./words";
import classes from "./SelectionBar.module.css";

/** @param {{ selection: import("./selection").Selection, matching: number[], onSelect: (next: import("./selection").Selection) => void }} props */
export default function SelectionBar({ selection, matching, onSelect }) {
  const [dialog, setDialog] = useState(/** @type {"tag" | "group" | "delete" | null} */ (null));
  useLive((state) => state.counts); // the words below follow what comes and goes
  const devices = selectedDevices(selection, store.get().devices);
  const pending = devices.filter(({ trust }) => trust === "pending");
  const bulk = useBulk();
  const off = useActOff();
  const close = () => setDialog(null);
  const navigate = useNavigate();

  /** @param {import("../../live/rows").Device[]} on @param {(device: import("../../live/rows").Device) => Promise<unknown>} act */
  async function run(on, act) {
    close();
    if (await bulk.run(on, act)) onSelect(NOTHING);
  }

  function runHere() {
    aimAt(devices.map(({ id }) => id));
    void navigate({ to: "/runs/new" });
  }

  function deployHere() {
    void navigate({ to: "/deployments/new", search: { ids: idsText(devices.map(({ id }) => id)) } });
  }

  return (
    <div className={classes.bar} role="region" aria-label="Selection">
      <span className={classes.count} data-testid="selection-count" role="status">
        {plural(devices.length, "device")} selected
        {howManyOffline(devices)}
      </span>
      {matching.length > devices.length && (
        <Button variant="subtle" size="compact-sm" onClick={() => onSelect(selectAll(matching))}>
          Select all {formatCount(matching.length)} that match
        </Button>
      )}
      {bulk.running ? (
        <div className={classes.progress} role="status">
          {formatCount(bulk.running.done)} of {formatCount(bulk.running.total)} done
          <Progress value={(100 * bulk.running.done) / bulk.running.total} aria-label="Progress" />
        </div>
      ) : (
        <div className={classes.actions}>
          {pending.length > 0 && (
            <OffButton off={off} size="compact-sm" onClick={() => run(pending, acceptDevice)}>
              Accept {formatCount(pending.length)} pending
            </OffButton>
          )}
          <OffButton
            off={off}
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="play" size={14} />}
            onClick={runHere}
          >
            Run…
          </OffButton>
          <OffButton
            off={off}
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="deploy" size={14} />}
            onClick={deployHere}
          >
            Deploy…
          </OffButton>
          <OffButton
            off={off}
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="tag" size={14} />}
            onClick={() => setDialog("tag")}
          >
            Tag
          </OffButton>
          <OffButton
            off={off}
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="devices" size={14} />}
            onClick={() => setDialog("group")}
          >
            Group
          </OffButton>
          <OffButton
            off={off}
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="trash" size={14} />}
            onClick={() => setDialog("delete")}
          >
            Delete
          </OffButton>
          <Button size="compact-sm" variant="subtle" color="gray" onClick={() => onSelect(NOTHING)}>
            Clear
          </Button>
        </div>
      )}
      <BulkFailures failures={bulk.failures} onClose={bulk.clear} />
      <TagDialog opened={dialog === "tag"} devices={devices} onClose={close} onApply={(act) => run(devices, act)} />
      <GroupDialog opened={dialog === "group"} ids={devices.map(({ id }) => id)} onClose={close} />
      <ConfirmDialog
        opened={dialog === "delete"}
        title={`Delete ${plural(devices.length, "device")}`}
        action={`Delete ${plural(devices.length, "device")}`}
        count={devices.length}
        onClose={close}
        onConfirm={() => run(devices, deleteDevice)}
      >
        <DeleteWords devices={devices} />
      </ConfirmDialog>
    </div>
  );
}
