/** Entries of the audit record, newest first; each opens to everything that is known of it. */
import { Button, Skeleton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { exactTime } from "../../lib/time";
import { auditQuery, didOf, placeOf, valueOf, whatOf, whoOf } from "./entries";
import classes from "./EntryList.module.css";

const SKELETONS = [52, 38, 61, 45, 57, 40, 49, 63];

/** @param {{ filter: import("./entries").Filter, none: import("react").ReactNode }} props `none` is shown where there is no entry */
export function EntryList({ filter, none }) {
  const pages = useInfiniteQuery(auditQuery(filter));
  const entries = pages.data?.pages.flatMap(({ items }) => items);
  if (!entries) {
    return pages.error ? (
      <ProblemBox error={pages.error} what="The record cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <div className={classes.list} role="status" aria-label="Loading the record">
        {SKELETONS.map((width) => (
          <div key={width} className={classes.waiting}>
            <Skeleton height={14} width={`${width}%`} />
          </div>
        ))}
      </div>
    );
  }
  if (entries.length === 0) return none;
  return (
    <>
      {pages.error && <ProblemBox error={pages.error} what="This list may be old." onRetry={() => pages.refetch()} />}
      <ul className={classes.list} data-testid="audit-list">
        {entries.map((entry) => (
          <Entry key={entry.seq} entry={entry} />
        ))}
      </ul>
      {pages.hasNextPage && (
        <Button
          variant="default"
          className={classes.older}
          loading={pages.isFetchingNextPage}
          onClick={() => pages.fetchNextPage()}
        >
          Show older
        </Button>
      )}
    </>
  );
}

/** @param {{ entry: import("./entries").Entry }} props */
function Entry({ entry }) {
  const refused = entry.action.endsWith("refused");
  return (
    <li data-testid="audit-entry">
      <details className={classes.entry}>
        <summary className={classes.summary}>
          <span className={classes.sentence}>
            <span className={classes.who}>{whoOf(entry)}</span>{" "}
            <span className={refused ? classes.refused : undefined}>{didOf(entry)}</span>{" "}
            <span className={classes.what}>{whatOf(entry)}</span>
          </span>
          <span className={classes.from}>{entry.source_ip || entry.actor_kind}</span>
          <span className={classes.when}>
            <Time at={entry.at} />
          </span>
        </summary>
        <Known entry={entry} />
      </details>
    </li>
  );
}

/** @param {{ entry: import("./entries").Entry }} props */
function Known({ entry }) {
  const place = placeOf(entry);
  const facts = [
    ["At", exactTime(entry.at)],
    ["Action", entry.action],
    ["By", [entry.actor_kind, entry.actor, entry.via].filter(Boolean).join(" · ")],
    ["From", entry.source_ip],
    ["To", [entry.object_kind, entry.object_name, entry.object_id].filter(Boolean).join(" · ")],
    ...Object.entries(entry.details).map(([name, value]) => [name.replaceAll("_", " "), valueOf(value)]),
    ["Entry", String(entry.seq)],
    ["Hash", entry.hash],
  ];
  return (
    <div className={classes.known}>
      <dl className={classes.facts}>
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name} className={classes.fact}>
              <dt>{name}</dt>
              <dd className="mono">{value}</dd>
            </div>
          ))}
      </dl>
      {place && (
        <Link to={place} className={classes.place}>
          Go to the {entry.object_kind === "device" ? "device" : "run"}
        </Link>
      )}
    </div>
  );
}
