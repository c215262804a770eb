/** What a search found: which versions there are, and which devices have them. */
import { Button, Skeleton, Tabs } from "@mantine/core";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { OffButton } from "../../components/OffButton";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { plural } from "../../lib/text";
import { useActOff } from "../devices/useActOff";
import { aimAt } from "../runs/compose/draftState";
import { havingQuery, idsHaving, softwareQuery } from "./api";
import { asQuery } from "./DeviceSoftware";
import classes from "./Software.module.css";

/** @param {{ q: string, tab: string, onTab: (tab: string) => void }} props */
export function Found({ q, tab, onTab }) {
  const pages = useInfiniteQuery(softwareQuery(q));
  if (!pages.data)
    return pages.error ? (
      <ProblemBox error={pages.error} what="The search cannot be done." onRetry={() => pages.refetch()} />
    ) : (
      <Skeleton height={200} role="status" aria-label="Searching" />
    );
  if (pages.error) return <ProblemBox error={pages.error} what="The search cannot be done." />;
  const [{ devices, reporting, total }] = pages.data.pages;
  if (reporting === 0)
    return (
      <p className="muted" data-testid="software-summary">
        {total === 0
          ? "There is no device yet. What is installed on those that you add is listed here."
          : "No device has reported what is installed yet. Agents do so soon after they connect."}
      </p>
    );
  const silent = total - reporting;
  return (
    <>
      <p className={classes.summary} role="status" data-testid="software-summary">
        {q ? (
          <>
            <b>{plural(devices, "device")}</b> of {reporting} that report have <span className="mono">{q}</span>.
          </>
        ) : (
          <>{plural(reporting, "device")} report what is installed.</>
        )}
        {silent > 0 && <span className="muted"> Of {plural(silent, "other")} nothing is known.</span>}
      </p>
      {q ? (
        <Tabs value={tab} onChange={(value) => onTab(value ?? "devices")} keepMounted={false}>
          <Tabs.List aria-label="What was found">
            <Tabs.Tab value="devices">Devices</Tabs.Tab>
            <Tabs.Tab value="versions">Versions</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="devices" pt="sm">
            <Having q={q} count={devices} />
          </Tabs.Panel>
          <Tabs.Panel value="versions" pt="sm">
            <Versions pages={pages} />
          </Tabs.Panel>
        </Tabs>
      ) : (
        <Versions pages={pages} />
      )}
    </>
  );
}

/** @param {{ pages: import("@tanstack/react-query").UseInfiniteQueryResult<import("@tanstack/react-query").InfiniteData<import("./api").Schemas["SoftwarePage"]>> }} props */
function Versions({ pages }) {
  const items = pages.data?.pages.flatMap(({ items }) => items) ?? [];
  if (items.length === 0) return <p className="muted">Nothing of that kind is installed.</p>;
  return (
    <>
      <div className={classes.scroll}>
        <table className={classes.table} data-testid="versions">
          <thead>
            <tr>
              <th scope="col">Package</th>
              <th scope="col">Version</th>
              <th scope="col">Architecture</th>
              <th scope="col">From</th>
              <th scope="col" className={classes.number}>
                Devices
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map(({ name, version, arch, source, devices }) => (
              <tr key={`${name} ${version} ${arch} ${source}`}>
                <td>
                  <Link to="/software" search={{ q: asQuery(name) }}>
                    {name}
                  </Link>
                </td>
                <td className="mono">{version}</td>
                <td>{arch}</td>
                <td>{source}</td>
                <td className={classes.number}>
                  <Link to="/software" search={{ q: `${asQuery(name)}=${version}` }}>
                    {devices}
                  </Link>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <More pages={pages} />
    </>
  );
}

/** @param {{ q: string, count: number }} props */
function Having({ q, count }) {
  const pages = useInfiniteQuery(havingQuery(q));
  const navigate = useNavigate();
  const off = useActOff();
  const pick = useMutation({
    mutationFn: () => idsHaving(q),
    onSuccess: (ids) => {
      aimAt(ids);
      void navigate({ to: "/runs/new" });
    },
  });
  if (!pages.data)
    return pages.error ? (
      <ProblemBox error={pages.error} what="The devices cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <Skeleton height={120} role="status" aria-label="Loading the devices" />
    );
  const items = pages.data.pages.flatMap(({ items }) => items);
  if (items.length === 0) return <p className="muted">No device has it.</p>;
  return (
    <>
      <OffButton
        off={off}
        variant="default"
        size="compact-md"
        leftSection={<Icon name="play" />}
        loading={pick.isPending}
        onClick={() => pick.mutate()}
      >
        Run on {count === 1 ? "it" : `these ${count}`}
      </OffButton>
      {pick.error && <ProblemBox error={pick.error} what="The devices could not be picked." />}
      <ul className={classes.devices} data-testid="devices-with">
        {items.map(({ device_id, device_name, found, confirmed_at }) => (
          <li key={device_id}>
            <Link to="/devices/$deviceId" params={{ deviceId: String(device_id) }}>
              {device_name}
            </Link>
            <span className="mono">{found.join(", ")}</span>
            <span className="muted">
              confirmed <Time at={confirmed_at} />
            </span>
          </li>
        ))}
      </ul>
      <More pages={pages} />
    </>
  );
}

/** @param {{ pages: { hasNextPage: boolean, isFetchingNextPage: boolean, fetchNextPage: () => unknown } }} props */
function More({ pages }) {
  if (!pages.hasNextPage) return null;
  return (
    <Button
      variant="default"
      size="xs"
      mt="sm"
      loading={pages.isFetchingNextPage}
      onClick={() => void pages.fetchNextPage()}
    >
      Show more
    </Button>
  );
}
