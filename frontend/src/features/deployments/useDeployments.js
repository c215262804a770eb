/** Deployments and their devices as lists: read in pages, kept true by what the live link says. */
import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { link, useLive } from "../../live";
import { listDecisions, listDeployments, listDeviceDeployments, listTargets, readDeployment } from "./api";
import { mergeDeployments, mergeTargets } from "./merge";
import { ACTIVE } from "./states";
import { steering } from "./steering";

/** @typedef {import("../../live/deployments").Deployment} Deployment */

const PAGE = 50;
/** As many as have a cell of their own. */
export const CELLS_MOST = 500;
const DEVICE_PAGE = 25;
const ACTIVE_REFETCH_MS = 3000;

/** @type {import("@tanstack/react-query").QueryKey} */
const DEPLOYMENTS = ["deployments"];

/** @template T @param {{ next_cursor: string | null }} page */
const next = (page) => page.next_cursor ?? undefined;
const first = /** @type {string | undefined} */ (undefined);

/** What this user has just asked for, as it will be. @param {string} id */
const useAsked = (id) => useSyncExternalStore(steering.subscribe, () => steering.get().get(id));

/** Newest first. @param {import("./api").DeploymentFilter} filter */
export function useDeploymentList({ state, name }) {
  const live = useLive(({ deployments }) => deployments);
  const snapshots = useLive((now) => now.snapshots);
  const pages = useInfiniteQuery({
    queryKey: [...DEPLOYMENTS, "list", { state, name }, snapshots], // what changed while the link was lost is read anew
    queryFn: ({ pageParam }) => listDeployments({ state, name, cursor: pageParam, limit: PAGE }),
    initialPageParam: first,
    getNextPageParam: next,
    placeholderData: (before) => before,
  });
  const { data, hasNextPage } = pages;
  const deployments = useMemo(
    () =>
      data &&
      mergeDeployments(
        data.pages.flatMap(({ items }) => items),
        live,
        { state, name },
        hasNextPage,
      ),
    [data, live, state, name, hasNextPage],
  );
  return { deployments, pages };
}

/** @param {string} id */
export function useDeployment(id) {
  const live = useLive(({ deployments }) => deployments.get(id));
  const asked = useAsked(id);
  const query = useQuery({ queryKey: [...DEPLOYMENTS, "one", id], queryFn: () => readDeployment(id) });
  const known = query.data && (live && live.rev > query.data.rev ? live : query.data);
  return { deployment: known && asked ? { ...known, ...asked } : known, asked: asked !== undefined, query };
}

/** From now on every change of its devices is heard of; what was read before that is read again. @param {string} id */
export function useWatchedDeployment(id) {
  const queryClient = useQueryClient();
  useEffect(
    () =>
      link.watchDeployment(id, () => {
        for (const part of ["one", "targets", "log"]) {
          const queryKey = [...DEPLOYMENTS, part, id];
          // What is being read for the first time may have begun too early, and would not be begun again by itself.
          void queryClient.cancelQueries({ queryKey }).then(() => queryClient.invalidateQueries({ queryKey }));
        }
      }),
    [id, queryClient],
  );
}

/** @param {string} id @param {import("./api").TargetFilter} filter */
export function useTargetList(id, { state, wave, attention, q }) {
  const live = useLive(({ targets }) => targets.get(id));
  const pages = useInfiniteQuery({
    queryKey: [...DEPLOYMENTS, "targets", id, { state, wave, attention, q }],
    queryFn: ({ pageParam }) => listTargets(id, { state, wave, attention, q, cursor: pageParam, limit: CELLS_MOST }),
    initialPageParam: first,
    getNextPageParam: next,
    placeholderData: (before, query) => (query?.queryKey[2] === id ? before : undefined),
  });
  const { data, hasNextPage } = pages;
  const targets = useMemo(
    () =>
      data &&
      mergeTargets(
        data.pages.flatMap(({ items }) => items),
        live,
        { state, wave, attention, q },
        hasNextPage,
      ),
    [data, live, state, wave, attention, q, hasNextPage],
  );
  return { targets, pages };
}

/** What each device waits for is said anew when the deployment goes on, stops or opens a wave. @param {Deployment} deployment */
export function useFreshTargets({ id, state, wave }) {
  const queryClient = useQueryClient();
  const at = `${state} ${wave}`;
  const seen = useRef(at);
  useEffect(() => {
    if (seen.current === at) return;
    seen.current = at;
    void queryClient.invalidateQueries({ queryKey: [...DEPLOYMENTS, "targets", id] });
  }, [id, at, queryClient]);
}

/** What the log may have an entry about. @param {Deployment} deployment */
const decided = ({ state, reason, total, approval, waves, counts }) =>
  [state, reason, total, approval.decided, counts.skipped ?? 0]
    .concat(waves.map(({ state, promoted_by, gate }) => `${state}${promoted_by}${gate.met}`))
    .join();

/** What was decided, newest first; read again when something was. @param {Deployment} deployment */
export function useDecisions(deployment) {
  return useInfiniteQuery({
    queryKey: [...DEPLOYMENTS, "log", deployment.id, decided(deployment)],
    queryFn: ({ pageParam }) => listDecisions(deployment.id, { cursor: pageParam, limit: PAGE }),
    initialPageParam: first,
    getNextPageParam: next,
    placeholderData: (before, query) => (query?.queryKey[2] === deployment.id ? before : undefined),
  });
}

/** What deployments did on one device, newest first; read again while one of them goes on. @param {number} deviceId */
export function useDeviceDeployments(deviceId) {
  return useInfiniteQuery({
    queryKey: [...DEPLOYMENTS, "device", deviceId],
    queryFn: ({ pageParam }) => listDeviceDeployments(deviceId, { cursor: pageParam, limit: DEVICE_PAGE }),
    initialPageParam: first,
    getNextPageParam: next,
    staleTime: 0,
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ items }) => items.some((one) => ACTIVE.includes(one.deployment_state)))
        ? ACTIVE_REFETCH_MS
        : false,
  });
}
