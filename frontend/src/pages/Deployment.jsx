/** A deployment, live: its waves, its devices, what was decided. The filter, the device and the view are in the address. */
import { useCallback, useState } from "react";
import { Button, SegmentedControl, Skeleton, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue, useMediaQuery } from "@mantine/hooks";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Icon } from "../components/Icon";
import { useTitle } from "../components/Page";
import { ProblemBox } from "../components/ProblemBox";
import { DecisionLog } from "../features/deployments/DecisionLog";
import { DeploymentHeader } from "../features/deployments/DeploymentHeader";
import { Lanes } from "../features/deployments/lanes/Lanes";
import { PlanFacts } from "../features/deployments/PlanFacts";
import { TARGET_STATES } from "../features/deployments/states";
import { TargetFilters } from "../features/deployments/TargetFilters";
import { TargetPanel } from "../features/deployments/TargetPanel";
import { TargetTable, TargetsLoading } from "../features/deployments/TargetTable";
import {
  useDeployment,
  useFreshTargets,
  useTargetList,
  useWatchedDeployment,
} from "../features/deployments/useDeployments";
import { INSTEAD_OF_LIST, NARROW_LIST } from "../features/devices/widths";
import { useKeys } from "../lib/useKeys";
import "../features/deployments/deployments.css";
import "../features/runs/runs.css";
import classes from "./Run.module.css";

const TYPED_MS = 250;
const VIEWS = [
  { value: "devices", label: "Devices" },
  { value: "log", label: "Log" },
  { value: "plan", label: "Plan" },
];

/** @typedef {{ state?: import("../features/deployments/states").TargetState, wave?: string, attention?: string, target?: string, view?: string }} Search */

/** @param {string} query */
const useWidth = (query) => useMediaQuery(query, undefined, { getInitialValueInEffect: false }) ?? false;

export function Deployment() {
  const { deploymentId = "" } = useParams({ strict: false });
  const { deployment, asked, query } = useDeployment(deploymentId);
  useWatchedDeployment(deploymentId);
  useTitle(deployment ? deployment.title : "Deployment");

  if (deployment)
    return (
      <Known
        key={deployment.id}
        deployment={deployment}
        asked={asked}
        stale={query.error}
        onRetry={() => query.refetch()}
      />
    );
  return (
    <div className={classes.alone}>
      <h1 className="visually-hidden">Deployment</h1>
      <Back />
      {query.error ? (
        <ProblemBox error={query.error} what="This deployment cannot be shown." onRetry={() => query.refetch()} />
      ) : (
        <Stack gap="md" role="status" aria-label="Loading the deployment">
          <Skeleton height={26} width="45%" />
          <Skeleton height={16} width="60%" />
          <Skeleton height={8} />
          <Skeleton height={150} />
          <Skeleton height={260} />
        </Stack>
      )}
    </div>
  );
}

const Back = () => (
  <Link to="/deployments" className={classes.back}>
    <Icon name="left" size={14} /> Deployments
  </Link>
);

/** @param {Search} search */
const filterOf = ({ state, wave, attention }) => ({
  state: state && state in TARGET_STATES ? state : undefined,
  wave: Number(wave) > 0 ? Number(wave) : undefined,
  attention: attention ? true : undefined,
});

/** @param {{ deployment: import("../features/deployments/states").Deployment, asked: boolean, stale: unknown, onRetry: () => void }} props */
function Known({ deployment, asked, stale, onRetry }) {
  const search = /** @type {Search} */ (useSearch({ strict: false }));
  const filter = filterOf(search);
  const { target: openId, view } = search;
  const navigate = useNavigate();
  const instead = useWidth(INSTEAD_OF_LIST);
  const phone = useWidth(NARROW_LIST);
  const [text, setText] = useState("");
  const [q] = useDebouncedValue(text.trim(), TYPED_MS);
  useFreshTargets(deployment);
  const all = useTargetList(deployment.id, {});
  const { targets, pages } = useTargetList(deployment.id, { ...filter, q: q || undefined });
  const { fetchNextPage, isFetchingNextPage } = pages;
  const open = openId === undefined ? undefined : [...(targets ?? []), ...(all.targets ?? [])].find(isOpen);

  /** @param {{ id: string }} one */
  function isOpen({ id }) {
    return id === openId;
  }

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
  const onOpen = useCallback(/** @param {string} id */ (id) => change({ target: id }, false), [change]);
  const onMore = useCallback(() => {
    if (!isFetchingNextPage) void fetchNextPage();
  }, [fetchNextPage, isFetchingNextPage]);
  const close = () => change({ target: undefined });
  useKeys({ Escape: () => openId && close() });

  function clear() {
    setText("");
    change({ state: undefined, wave: undefined, attention: undefined });
  }

  return (
    <div className={classes.page} data-open={open ? true : undefined}>
      {open && instead && <h1 className="visually-hidden">{deployment.title}</h1>}
      <div className={classes.list} data-scrolls>
        <Back />
        {stale !== null && stale !== undefined && (
          <ProblemBox error={stale} what="What is shown may be old." onRetry={onRetry} />
        )}
        <DeploymentHeader deployment={deployment} asked={asked} />
        <Lanes deployment={deployment} targets={all.targets} openId={openId} onOpen={onOpen} />
        <div className={classes.tools}>
          <SegmentedControl
            aria-label="What is shown"
            data={VIEWS}
            value={view ?? "devices"}
            onChange={(value) => change({ view: value === "devices" ? undefined : value })}
          />
          {!view && deployment.total > 1 && (
            <TextInput
              className={classes.search}
              type="search"
              aria-label="Search the devices of this deployment"
              placeholder="Search device"
              leftSection={<Icon name="search" />}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
            />
          )}
        </div>
        {view === "log" ? (
          <DecisionLog deployment={deployment} />
        ) : view === "plan" ? (
          <PlanFacts deployment={deployment} />
        ) : (
          <>
            <TargetFilters
              deployment={deployment}
              filter={filter}
              onChange={({ state, wave, attention }) =>
                change({ state, wave: wave ? String(wave) : undefined, attention: attention ? "yes" : undefined })
              }
            />
            {pages.error && !targets ? (
              <ProblemBox error={pages.error} what="The devices cannot be shown." onRetry={() => pages.refetch()} />
            ) : !targets ? (
              <TargetsLoading />
            ) : targets.length === 0 && !pages.isPlaceholderData ? (
              <p className={classes.none}>
                {deployment.total > 0 ? "No device of this deployment matches. " : "No device is in it. "}
                {deployment.total > 0 && (
                  <Button size="compact-xs" variant="default" onClick={clear}>
                    Show all
                  </Button>
                )}
              </p>
            ) : (
              <TargetTable
                targets={targets}
                openId={openId}
                narrow={phone || open !== undefined}
                more={pages.hasNextPage && !pages.isFetchNextPageError}
                onMore={onMore}
                onOpen={onOpen}
              />
            )}
            {pages.isFetchNextPageError && (
              <ProblemBox error={pages.error} what="The rest cannot be shown." onRetry={() => fetchNextPage()} />
            )}
          </>
        )}
      </div>
      {open && <TargetPanel deployment={deployment} target={open} narrow={instead} onClose={close} />}
    </div>
  );
}
