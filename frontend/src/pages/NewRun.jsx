/** The run box. It may begin with a run's command or with one device (`?again=…`, `?device=…`). */
import { useEffect, useRef } from "react";
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { ProblemBox } from "../components/ProblemBox";
import { useTitle } from "../components/Page";
import { readRun } from "../features/runs/api";
import { again } from "../features/runs/compose/again";
import { ComposeForm } from "../features/runs/compose/ComposeForm";
import { aimAt, changeDraft } from "../features/runs/compose/draftState";
import classes from "./Runs.module.css";

export function NewRun() {
  useTitle("New run");
  const { again: runId, device } = /** @type {{ again?: string, device?: string }} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const before = useQuery({
    queryKey: ["runs", "one", runId],
    queryFn: () => readRun(runId ?? ""),
    enabled: runId !== undefined,
  });

  useEffect(() => {
    if (device) aimAt([Number(device)]);
  }, [device]);
  const taken = useRef("");
  useEffect(() => {
    if (!before.data || taken.current === before.data.id) return; // what was typed since is not overwritten
    taken.current = before.data.id;
    changeDraft(again(before.data));
  }, [before.data]);

  return (
    <div className={classes.page}>
      <div>
        <Link to="/runs" className={classes.back}>
          <Icon name="left" size={14} /> Runs
        </Link>
        <h1 className={classes.title}>Run a command</h1>
      </div>
      {before.error && <ProblemBox error={before.error} what="The earlier run cannot be taken over." />}
      {before.isLoading ? (
        <Skeleton height={320} />
      ) : (
        <ComposeForm onStarted={(run) => navigate({ to: "/runs/$runId", params: { runId: run.id } })} />
      )}
    </div>
  );
}
