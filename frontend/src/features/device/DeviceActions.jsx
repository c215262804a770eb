/** Accept, reject, delete: each where it makes sense. */
import { useState } from "react";
import { Group } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { acceptDevice, deleteDevice, rejectDevice } from "../devices/actions";
import { useActOff } from "../devices/useActOff";
import { DeleteWords } from "../devices/words";
import { useAccess } from "./Access";
import { useDeviceOff } from "./useDeviceOff";
import classes from "./Device.module.css";

/** @param {import("../../live/rows").Device} device @param {ReturnType<typeof useAccess>} access */
function runOff(device, access) {
  if (device.trust !== "trusted") return "Only a trusted device is given work.";
  return access && !access.may_run ? "It is shared with you to look at, not to run on." : null;
}

/** @param {{ device: import("../../live/rows").Device, onGone: () => void }} props */
export function DeviceActions({ device, onGone }) {
  const acting = useActOff();
  const off = useDeviceOff(device);
  const access = useAccess(device.id);
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const accept = useMutation({ mutationFn: () => acceptDevice(device) });
  const reject = useMutation({ mutationFn: () => rejectDevice(device), onSuccess: onGone });
  const remove = useMutation({ mutationFn: () => deleteDevice(device), onSuccess: onGone });
  const error = accept.error ?? reject.error ?? remove.error;
  return (
    <>
      <Group gap={6} className={classes.actions}>
        {device.trust === "pending" && (
          <>
            <OffButton off={off} size="compact-sm" loading={accept.isPending} onClick={() => accept.mutate()}>
              Accept
            </OffButton>
            <OffButton
              off={off}
              size="compact-sm"
              variant="default"
              loading={reject.isPending}
              onClick={() => reject.mutate()}
            >
              Reject
            </OffButton>
          </>
        )}
        <OffButton
          off={acting ?? runOff(device, access)}
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="play" size={14} />}
          onClick={() => navigate({ to: "/runs/new", search: { device: String(device.id) } })}
        >
          Run…
        </OffButton>
        <OffButton
          off={off}
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="trash" size={14} />}
          onClick={() => setAsking(true)}
        >
          Delete
        </OffButton>
      </Group>
      {error && <ProblemBox error={error} what="Nothing was changed." />}
      <ConfirmDialog
        opened={asking}
        title={`Delete ${device.device_name}`}
        action="Delete device"
        count={1}
        busy={remove.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => remove.mutate(undefined, { onSettled: () => setAsking(false) })}
      >
        <DeleteWords devices={[device]} />
      </ConfirmDialog>
    </>
  );
}
