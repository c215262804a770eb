/** What can be done with a schedule, always in the same place: start it now, pause or resume it, change it, delete it. */
import { useRef, useState } from "react";
import { Group } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { useActOff } from "../devices/useActOff";
import { newKey } from "../runs/keys";
import { deleteSchedule, pauseSchedule, resumeSchedule, startSchedule } from "./api";

/** @param {{ schedule: import("./api").Schedule }} props */
export function ScheduleActions({ schedule: { id, name, own, owner, state } }) {
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const off = useActOff();
  const [asking, setAsking] = useState(false);
  const key = useRef(newKey());
  const settled = { onSettled: () => queryClient.invalidateQueries({ queryKey: ["schedules"] }) };
  const start = useMutation({
    mutationFn: () => startSchedule(id, key.current),
    onSuccess: () => void (key.current = newKey()),
    ...settled,
  });
  const toggle = useMutation({
    mutationFn: () => (state === "active" ? pauseSchedule(id) : resumeSchedule(id)),
    ...settled,
  });
  const remove = useMutation({
    mutationFn: () => deleteSchedule(id),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: ["schedules", "list"] });
      void queryClient.invalidateQueries({ queryKey: ["schedules", "calendar"] });
      void navigate({ to: "/schedules" });
    },
    onSettled: () => setAsking(false),
  });
  const ownerOff = off ?? (own ? null : `It acts in the name of ${owner}, who alone can do this.`);
  const error = start.error ?? toggle.error ?? remove.error;
  return (
    <>
      <Group gap="xs">
        <OffButton
          off={ownerOff}
          variant="default"
          leftSection={<Icon name="play" />}
          loading={start.isPending}
          onClick={() => start.mutate()}
        >
          Start now
        </OffButton>
        {state !== "done" && (
          <OffButton off={off} variant="default" loading={toggle.isPending} onClick={() => toggle.mutate()}>
            {state === "active" ? "Pause" : "Resume"}
          </OffButton>
        )}
        <OffButton
          off={ownerOff}
          variant="default"
          leftSection={<Icon name="pencil" />}
          onClick={() => navigate({ to: "/schedules/$scheduleId/edit", params: { scheduleId: id } })}
        >
          Change
        </OffButton>
        <OffButton off={off} variant="default" leftSection={<Icon name="trash" />} onClick={() => setAsking(true)}>
          Delete
        </OffButton>
      </Group>
      {error && <ProblemBox error={error} what="That did not work." />}
      <ConfirmDialog
        opened={asking}
        title={`Delete ${name}`}
        action="Delete the schedule"
        count={1}
        busy={remove.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => remove.mutate()}
      >
        <p>
          The schedule <b>{name}</b> and the history of its times go. What it started stays.
        </p>
      </ConfirmDialog>
    </>
  );
}
