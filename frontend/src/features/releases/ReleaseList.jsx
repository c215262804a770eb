/** The releases, one line for each name: the newest version, what it is, who signed it, and where it is used. */
import { useState } from "react";
import { Button, Skeleton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Icon } from "../../components/Icon";
import { ProblemBox } from "../../components/ProblemBox";
import { Time } from "../../components/Time";
import { formatBytes, plural } from "../../lib/text";
import { KINDS, signedWords } from "./kinds";
import { byName, useReleaseList } from "./useReleases";
import classes from "./ReleaseList.module.css";

const SKELETONS = [60, 35, 48, 70, 42, 55];

/** @param {{ q: string | undefined, none: import("react").ReactNode }} props `none` is shown where there is no release */
export function ReleaseList({ q, none }) {
  const pages = useReleaseList({ q });
  if (!pages.data) {
    return pages.error ? (
      <ProblemBox error={pages.error} what="The releases cannot be shown." onRetry={() => pages.refetch()} />
    ) : (
      <div className={classes.list} role="status" aria-label="Loading the releases">
        {SKELETONS.map((width) => (
          <div key={width} className={classes.row}>
            <Skeleton height={16} width={`${width}%`} />
            <Skeleton height={14} width="50%" />
          </div>
        ))}
      </div>
    );
  }
  const names = byName(pages.data.pages.flatMap(({ items }) => items));
  if (names.length === 0 && !pages.isPlaceholderData) return none;
  return (
    <>
      {pages.error && <ProblemBox error={pages.error} what="This list may be old." onRetry={() => pages.refetch()} />}
      <ul className={classes.list} data-testid="release-list">
        {names.map(({ newest, older }) => (
          <Name key={newest.name} newest={newest} older={older} />
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

/** @param {{ newest: import("./api").Release, older: import("./api").Release[] }} props */
function Name({ newest, older }) {
  const [shown, setShown] = useState(false);
  return (
    <li className={classes.name} data-testid="release-row" data-name={newest.name}>
      <Row release={newest} />
      {older.length > 0 && (
        <div className={classes.versions}>
          <button
            type="button"
            className={classes.more}
            aria-expanded={shown}
            aria-label={`${plural(older.length, "older version")} of ${newest.name}`}
            onClick={() => setShown(!shown)}
          >
            <Icon name={shown ? "up" : "down"} size={12} /> {plural(older.length, "older version")}
          </button>
          {shown && (
            <ul className={classes.olderList}>
              {older.map((release) => (
                <li key={release.id}>
                  <Row release={release} />
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
    </li>
  );
}

/** @param {{ release: import("./api").Release }} props */
function Row({ release }) {
  const { id, name, version, kind, platforms, artifacts_bytes, created_by, created_at, deployments } = release;
  return (
    <div className={classes.row}>
      <div className={classes.what}>
        <Link to="/releases/$releaseId" params={{ releaseId: id }} className={classes.title}>
          {name} <span className={classes.version}>{version}</span>
        </Link>
        <div className={classes.who}>
          {KINDS[kind].word.toLowerCase()} · {platforms.join(", ")}
          {artifacts_bytes > 0 && ` · ${formatBytes(artifacts_bytes)}`}
        </div>
      </div>
      <div className={classes.who}>
        <div className="cut">{signedWords(release)}</div>
        <div className="cut">
          {deployments > 0 ? `in ${plural(deployments, "deployment")}` : "not deployed yet"} · {created_by}
        </div>
      </div>
      <div className={classes.when}>
        <Time at={created_at} />
      </div>
    </div>
  );
}
