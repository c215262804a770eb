/** Runs and tasks as lists: read in pages, kept true by what the live link says. */
import { useEffect, useMemo } from "react";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { link, useLive } from "../../live";
import { listDeviceTasks, listOutputs, listRuns, listTasks, readRun, readTask } from "./api";
import { mergeRuns, mergeTasks, newer } from "./merge";
import { unfinished } from "./states";

/** @typedef {import("../../live/runs").Run} Run */
/** @typedef {import("../../live/runs").Task} Task */

const RUNS_PAGE = 50;
const TASKS_PAGE = 500;
const DEVICE_PAGE = 25;
const ACTIVE_REFETCH_MS = 3000;

/** @type {import("@tanstack/react-query").QueryKey} */
const RUNS = ["runs"];

/** @template T @param {{ next_cursor: string | null }} page */
const next = (page) => page.next_cursor ?? undefined;
const first = /** @type {string | undefined} */ (undefined);

/** The history of runs. @param {import("./merge").RunFilter} filter */
export function useRunList(filter) {
  const { state, q, by } = filter;
  const live = useLive(({ runs }) => runs);
  const snapshots = useLive((now) => now.snapshots);
  const pages = useInfiniteQuery({
    queryKey: [...RUNS, "list", { state, q, by }, snapshots], // what changed while the link was lost is read anew
    queryFn: ({ pageParam }) => listRuns({ state, q, by, cursor: pageParam, limit: RUNS_PAGE }),
    initialPageParam: first,
    getNextPageParam: next,
    placeholderData: (before) => before,
  });
  const { data, hasNextPage } = pages;
  const runs = useMemo(
    () =>
      data &&
      mergeRuns(
        data.pages.flatMap(({ items }) => items),
        live,
        { state, q, by },
        hasNextPage,
      ),
    [data, live, state, q, by, hasNextPage],
  );
  return { runs, pages };
}

/** A run with what was asked for. @param {string} id */
export function useRun(id) {
  const live = useLive(({ runs }) => runs.get(id));
  const query = useQuery({ queryKey: [...RUNS, "one", id], queryFn: () => readRun(id) });
  const run = query.data && (live && live.rev > query.data.rev ? { ...query.data, ...live } : query.data);
  return { run, query };
}

/** From now on every change of the run's tasks is heard of; what was read before that is read again. @param {string} id */
export function useWatchedRun(id) {
  const queryClient = useQueryClient();
  useEffect(
    () =>
      link.watchRun(id, () => {
        for (const part of [["one", id], ["tasks", id], ["task"]]) {
          const queryKey = [...RUNS, ...part];
          // What is being read for the first time may have begun too early, and would not be begun again by itself.
          void queryClient.cancelQueries({ queryKey }).then(() => queryClient.invalidateQueries({ queryKey }));
        }
      }),
    [id, queryClient],
  );
}

/** @param {string} runId @param {import("./api").TaskFilter} filter */
export function useTaskList(runId, { state, digest, q }) {
  const live = useLive(({ tasks }) => tasks.get(runId));
  const pages = useInfiniteQuery({
    queryKey: [...RUNS, "tasks", runId, { state, digest, q }],
    queryFn: ({ pageParam }) => listTasks(runId, { state, digest, q, cursor: pageParam, limit: TASKS_PAGE }),
    initialPageParam: first,
    getNextPageParam: next,
    placeholderData: (before, query) => (query?.queryKey[2] === runId ? before : undefined),
  });
  const { data, hasNextPage } = pages;
  const tasks = useMemo(
    () =>
      data &&
      mergeTasks(
        data.pages.flatMap(({ items }) => items),
        live,
        { state, digest, q },
        hasNextPage,
      ),
    [data, live, state, digest, q, hasNextPage],
  );
  return { tasks, pages };
}

/** One task of a watched run. @param {string} runId @param {string} taskId */
export function useTask(runId, taskId) {
  const live = useLive(({ tasks }) => tasks.get(runId)?.get(taskId));
  const query = useQuery({ queryKey: [...RUNS, "task", taskId], queryFn: () => readTask(taskId) });
  return { task: query.data ? newer(query.data, live) : live, query };
}

/** What was printed, equal outputs together; read again as devices end. @param {Run} run */
export function useOutputs(run) {
  const over = run.total - unfinished(run);
  return useQuery({
    queryKey: [...RUNS, "outputs", run.id, over],
    queryFn: () => listOutputs(run.id),
    placeholderData: (before, query) => (query?.queryKey[2] === run.id ? before : undefined),
  });
}

/** What one device was asked, newest first; read again while something of it is unfinished. @param {number} deviceId */
export function useDeviceTasks(deviceId) {
  return useInfiniteQuery({
    queryKey: [...RUNS, "device", deviceId],
    queryFn: ({ pageParam }) => listDeviceTasks(deviceId, { cursor: pageParam, limit: DEVICE_PAGE }),
    initialPageParam: first,
    getNextPageParam: next,
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ items }) => items.some(({ finished_at }) => !finished_at)) ? ACTIVE_REFETCH_MS : false,
  });
}
