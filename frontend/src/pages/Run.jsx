/** A run, live: how its devices are, what each printed. State, device and view are in the address. */
import { useCallback, useState } from "react";
import { Button, SegmentedControl, Skeleton, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue, useMediaQuery } from "@mantine/hooks";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { useTitle } from "../components/Page";
import { ProblemBox } from "../components/ProblemBox";
import { INSTEAD_OF_LIST, NARROW_LIST } from "../features/devices/widths";
import { OutputGroups } from "../features/runs/OutputGroups";
import { RunHeader } from "../features/runs/RunHeader";
import { StateFilters } from "../features/runs/StateFilters";
import { TASK_STATES } from "../features/runs/states";
import { TaskPanel } from "../features/runs/TaskPanel";
import { TaskTable, TasksLoading } from "../features/runs/TaskTable";
import { useRun, useTaskList, useWatchedRun } from "../features/runs/useRuns";
import { plural } from "../lib/text";
import { useKeys } from "../lib/useKeys";
import "../features/runs/runs.css";
import classes from "./Run.module.css";

const TYPED_MS = 250;
const VIEWS = [
  { value: "devices", label: "Devices" },
  { value: "outputs", label: "Equal outputs" },
];

/** @typedef {{ state?: import("../features/runs/states").TaskState, task?: string, digest?: string, view?: string }} Search */

/** @param {string} query */
const useWidth = (query) => useMediaQuery(query, undefined, { getInitialValueInEffect: false }) ?? false;

export function Run() {
  const { runId = "" } = useParams({ strict: false });
  const { run, query } = useRun(runId);
  useWatchedRun(runId);
  useTitle(run ? run.title.slice(0, 60) : "Run");

  if (run) return <Known key={run.id} run={run} stale={query.error} onRetry={() => query.refetch()} />;
  return (
    <div className={classes.alone}>
      <h1 className="visually-hidden">Run</h1>
      <Back />
      {query.error ? (
        <ProblemBox error={query.error} what="This run cannot be shown." onRetry={() => query.refetch()} />
      ) : (
        <Stack gap="md" role="status" aria-label="Loading the run">
          <Skeleton height={26} width="45%" />
          <Skeleton height={16} width="60%" />
          <Skeleton height={8} />
          <Skeleton height={260} />
        </Stack>
      )}
    </div>
  );
}

const Back = () => (
  <Link to="/runs" className={classes.back}>
    <Icon name="left" size={14} /> Runs
  </Link>
);

/** @param {{ run: import("../features/runs/api").RunDetail, stale: unknown, onRetry: () => void }} props */
function Known({ run, stale, onRetry }) {
  const { state: named, task, digest, view } = /** @type {Search} */ (useSearch({ strict: false }));
  const state = named && named in TASK_STATES ? named : undefined;
  const navigate = useNavigate();
  const instead = useWidth(INSTEAD_OF_LIST);
  const phone = useWidth(NARROW_LIST);
  const [text, setText] = useState("");
  const [q] = useDebouncedValue(text.trim(), TYPED_MS);
  const { tasks, pages } = useTaskList(run.id, { state, digest, q });
  const { fetchNextPage, isFetchingNextPage } = pages;
  // Where there is one device, its output is what was wanted.
  const openId = task ?? (run.total === 1 && !instead ? tasks?.[0]?.id : undefined);

  const change = useCallback(
    /** @param {Search} part @param {boolean} [replace] */
    (part, replace = true) =>
      void navigate({
        to: ".",
        search: (/** @type {any} */ now) => ({ ...now, ...part }),
        replace,
        resetScroll: false,
      }),
    [navigate],
  );
  const onMore = useCallback(() => {
    if (!isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, isFetchingNextPage]);
  const close = () => change({ task: undefined });
  useKeys({ Escape: () => task && close() });

  return (
    <div className={classes.page} data-open={openId ? true : undefined}>
      {openId && instead && <h1 className="visually-hidden">{run.title}</h1>}
      <div className={classes.list} data-scrolls>
        <Back />
        {stale !== null && stale !== undefined && (
          <ProblemBox error={stale} what="What is shown may be old." onRetry={onRetry} />
        )}
        <RunHeader run={run} />
        <StateFilters run={run} state={state} onChange={(next) => change({ state: next, view: undefined })} />
        <div className={classes.tools}>
          {run.total > 1 && (
            <SegmentedControl
              aria-label="What is listed"
              data={VIEWS}
              value={view ?? "devices"}
              onChange={(value) => change({ view: value === "devices" ? undefined : value })}
            />
          )}
          {view !== "outputs" && run.total > 1 && (
            <TextInput
              className={classes.search}
              type="search"
              aria-label="Search the devices of this run"
              placeholder="Search device"
              leftSection={<Icon name="search" />}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
            />
          )}
          {digest && view !== "outputs" && (
            <Button size="compact-sm" variant="light" onClick={() => change({ digest: undefined })}>
              With one output only: show all
            </Button>
          )}
        </div>
        {view === "outputs" ? (
          <OutputGroups
            run={run}
            onFilter={(next) => change({ digest: next, view: undefined, state: undefined }, false)}
          />
        ) : pages.error && !tasks ? (
          <ProblemBox error={pages.error} what="The devices cannot be shown." onRetry={() => pages.refetch()} />
        ) : !tasks ? (
          <TasksLoading />
        ) : tasks.length === 0 && !pages.isPlaceholderData ? (
          <p className={classes.none}>
            {state || q || digest ? "No device of this run matches." : `${plural(run.total, "device")}.`}{" "}
            <Button
              size="compact-xs"
              variant="default"
              onClick={() => {
                setText("");
                change({ state: undefined, digest: undefined });
              }}
            >
              Show all
            </Button>
          </p>
        ) : (
          <TaskTable
            tasks={tasks}
            openId={openId}
            narrow={phone || openId !== undefined}
            withPage={phone}
            more={pages.hasNextPage && !pages.isFetchNextPageError}
            onMore={onMore}
            onOpen={(id) => change({ task: id }, task !== undefined)}
          />
        )}
        {pages.isFetchNextPageError && (
          <ProblemBox error={pages.error} what="The rest cannot be shown." onRetry={() => fetchNextPage()} />
        )}
      </div>
      {openId && <TaskPanel runId={run.id} taskId={openId} narrow={instead} onClose={close} />}
    </div>
  );
}
