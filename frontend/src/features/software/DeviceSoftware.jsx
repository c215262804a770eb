/** What is installed on a device, with a search, and how old that knowledge is. */
import { useState } from "react";
import { Button, Skeleton, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { plural } from "../../lib/text";
import { ofDeviceQuery } from "./api";
import classes from "./Software.module.css";

const TYPED_MS = 250;

/** A name as the search takes it. @param {string} name */
export const asQuery = (name) => (/[\s<>=!,"*]/.test(name) ? `"${name}"` : name);

/** @param {{ device: import("../../live/rows").Device }} props */
export default function DeviceSoftware({ device }) {
  const [text, setText] = useState("");
  const [asked] = useDebouncedValue(text.trim(), TYPED_MS);
  const pages = useInfiniteQuery(ofDeviceQuery(device.id, asked));
  if (!pages.data)
    return pages.error ? (
      <ProblemBox error={pages.error} what="The software cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <Skeleton height={160} role="status" aria-label="Loading the software" />
    );
  const [{ packages, received_at, confirmed_at, sources }] = pages.data.pages;
  if (!received_at)
    return (
      <p className="muted">
        This device has not reported what is installed.
        {device.trust === "trusted"
          ? " Its agent does so within a minute after it came, unless it was told not to, or is an older one."
          : " Only a trusted device is asked."}
      </p>
    );
  const items = pages.data.pages.flatMap(({ items }) => items);
  return (
    <>
      <p className={classes.fresh} data-testid="software-freshness">
        {sources.length === 0
          ? "Its agent found no package database that it knows. "
          : `${plural(packages, "package")} of ${sources.join(", ")}. `}
        <span className="muted">
          Last changed <Time at={received_at} />, confirmed <Time at={confirmed_at} />.
        </span>
      </p>
      {packages > 0 && (
        <TextInput
          type="search"
          aria-label="Search the software"
          placeholder="Part of a name"
          leftSection={<Icon name="search" />}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      {items.length === 0 && packages > 0 ? (
        <p className="muted">Nothing of that name is installed.</p>
      ) : (
        <ul className={classes.packages} data-testid="packages">
          {items.map(({ name, version, arch, source }) => (
            <li key={`${name} ${version} ${arch} ${source}`}>
              <Link to="/software" search={{ q: asQuery(name) }} title="Which devices have it">
                {name}
              </Link>
              <span className="mono">{version}</span>
              <span className="muted">{arch}</span>
            </li>
          ))}
        </ul>
      )}
      {pages.hasNextPage && (
        <Button
          variant="default"
          size="xs"
          mt="sm"
          loading={pages.isFetchingNextPage}
          onClick={() => pages.fetchNextPage()}
        >
          Show more
        </Button>
      )}
    </>
  );
}
