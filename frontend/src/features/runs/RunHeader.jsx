/** The head of a run: what it is, whose, how far it is, and what can be done about it. */
import { useState } from "react";
import { Button, UnstyledButton } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { formatCount, plural } from "../../lib/text";
import { useActOff } from "../devices/useActOff";
import { cancelRun, zipUrl } from "./api";
import { CountsBar } from "./CountsBar";
import { RetryDialog } from "./RetryDialog";
import { RunRequest } from "./RunRequest";
import { RETRIED, countIn, unfinished } from "./states";
import { preciseDuration } from "./took";
import classes from "./RunHeader.module.css";

const SIGN_ANEW = "A signed run is good for once. To repeat it, sign it anew: deployx run --sign.";

/** @param {{ run: import("./api").RunDetail }} props */
export function RunHeader({ run }) {
  const [shown, setShown] = useState(false);
  const left = unfinished(run);
  const took = run.finished_at && (Date.parse(run.finished_at) - Date.parse(run.created_at)) / 1000;
  return (
    <header className={classes.header}>
      <div className={classes.first}>
        <h1 className={classes.title} data-testid="run-title">
          {run.title}
        </h1>
        <Actions run={run} left={left} />
      </div>
      <p className={classes.meta}>
        {run.selector === null ? (
          plural(run.total, "picked device")
        ) : (
          <>
            {plural(run.total, "device")} · <span className="mono">{run.selector}</span>
          </>
        )}
        {" · "}
        {run.created_by} · <Time at={run.created_at} />
        {run.signed_by.length > 0 && ` · signed by ${signersOf(run)}`}
        {run.retry_of && (
          <>
            {" · "}
            <Link to="/runs/$runId" params={{ runId: run.retry_of }}>
              repeats an earlier run
            </Link>
          </>
        )}{" "}
        <UnstyledButton className={classes.more} aria-expanded={shown} onClick={() => setShown(!shown)}>
          {shown ? "Hide" : "Show"} what was asked
        </UnstyledButton>
      </p>
      {shown && <RunRequest run={run} />}
      <div className={classes.progress}>
        <CountsBar run={run} />
        <span className={classes.done} role="status" data-testid="run-progress">
          {left > 0
            ? `${formatCount(run.total - left)} of ${formatCount(run.total)} done`
            : `All done${took ? ` in ${preciseDuration(took)}` : ""}`}
        </span>
      </div>
    </header>
  );
}

/** Who has signed it: by the names that its devices have for the keys. @param {import("./api").RunDetail} run */
const signersOf = ({ signed_by }) =>
  signed_by.map(({ name, key_id }) => (name ? `${name} (key ${key_id})` : `the key ${key_id}`)).join(", ");

/** @param {{ run: import("./api").RunDetail, left: number }} props */
function Actions({ run, left }) {
  const off = useActOff();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(/** @type {"cancel" | "retry" | null} */ (null));
  const cancel = useMutation({ mutationFn: () => cancelRun(run.id), onSettled: () => setAsking(null) });
  const bad = countIn(run.counts, RETRIED);
  return (
    <div className={classes.actions}>
      {left > 0 && (
        <OffButton
          off={off ?? (run.cancelled_at ? "It is being cancelled already." : null)}
          size="compact-md"
          variant="default"
          leftSection={<Icon name="stop" size={14} />}
          onClick={() => setAsking("cancel")}
        >
          Cancel
        </OffButton>
      )}
      {bad > 0 && (
        <OffButton
          off={off ?? (run.signed_by.length ? SIGN_ANEW : null)}
          size="compact-md"
          variant="default"
          leftSection={<Icon name="sync" size={14} />}
          onClick={() => setAsking("retry")}
        >
          Retry {formatCount(bad)}
        </OffButton>
      )}
      <OffButton
        off={off}
        size="compact-md"
        variant="default"
        leftSection={<Icon name="play" size={14} />}
        onClick={() => navigate({ to: "/runs/new", search: { again: run.id } })}
      >
        Run again
      </OffButton>
      <Button
        component="a"
        href={zipUrl(run.id)}
        download
        size="compact-md"
        variant="default"
        leftSection={<Icon name="download" size={14} />}
      >
        Download all
      </Button>
      {cancel.error && <ProblemBox error={cancel.error} what="It was not cancelled." />}
      <ConfirmDialog
        opened={asking === "cancel"}
        title="Cancel this run"
        action={`Cancel on ${plural(left, "device")}`}
        count={left}
        busy={cancel.isPending}
        onClose={() => setAsking(null)}
        onConfirm={() => cancel.mutate()}
      >
        <p className={classes.words}>
          {plural(left, "device is", "devices are")} not done. What runs is told to end, and is killed after 5 seconds;
          what waits will not start. What is done stays done.
        </p>
      </ConfirmDialog>
      <RetryDialog
        run={run}
        opened={asking === "retry"}
        onClose={() => setAsking(null)}
        onStarted={(started) => {
          setAsking(null);
          void navigate({ to: "/runs/$runId", params: { runId: started.id } });
        }}
      />
    </div>
  );
}
