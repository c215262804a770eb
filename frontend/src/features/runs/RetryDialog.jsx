/** Runs it again where it did not succeed: which endings, how many devices. */
import { useRef, useState } from "react";
import { Checkbox, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { ProblemBox } from "../../components/ProblemBox";
import { formatCount, plural } from "../../lib/text";
import { retryRun } from "./api";
import { newKey } from "./keys";
import { RETRIED, TASK_STATES, countIn } from "./states";

/** What somebody called off is not wanted again unless they say so. @param {import("../../live/runs").Run} run */
function firstChosen(run) {
  const present = RETRIED.filter((state) => run.counts[state] > 0);
  const failed = present.filter((state) => state !== "cancelled");
  return failed.length ? failed : present;
}

/** @param {{ run: import("../../live/runs").Run, opened: boolean, onClose: () => void, onStarted: (run: import("../../live/runs").Run) => void }} props */
export function RetryDialog({ run, opened, onClose, onStarted }) {
  const [changed, setChanged] = useState(/** @type {import("./states").TaskState[] | null} */ (null));
  const present = RETRIED.filter((state) => run.counts[state] > 0);
  const chosen = (changed ?? firstChosen(run)).filter((state) => present.includes(state));
  const count = countIn(run.counts, chosen);
  const key = useRef("");
  const retry = useMutation({
    mutationFn: () => retryRun(run.id, chosen, (key.current ||= newKey())),
    onSuccess: (started) => {
      key.current = "";
      onStarted(started);
    },
  });
  return (
    <ConfirmDialog
      opened={opened}
      title="Retry"
      action={`Run again on ${plural(count, "device")}`}
      color="accent"
      count={count}
      busy={retry.isPending}
      onClose={onClose}
      onConfirm={() => count > 0 && retry.mutate()}
    >
      <Stack gap="xs">
        <span>A new run does the same on the devices where this one ended so:</span>
        {present.map((state) => (
          <Checkbox
            key={state}
            label={`${TASK_STATES[state].word} (${formatCount(run.counts[state])})`}
            description={TASK_STATES[state].meaning}
            checked={chosen.includes(state)}
            onChange={(event) => {
              key.current = "";
              setChanged(event.currentTarget.checked ? [...chosen, state] : chosen.filter((each) => each !== state));
            }}
          />
        ))}
        {retry.error && <ProblemBox error={retry.error} what="Nothing was started." />}
      </Stack>
    </ConfirmDialog>
  );
}
