/** One release: what it says, what it brings along, who signed it, and which deployments bring it to devices. */
import { Suspense, useState } from "react";
import { Skeleton, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ConfirmDialog } from "../components/ConfirmDialog";
import { Icon } from "../components/Icon";
import { OffButton } from "../components/OffButton";
import { useTitle } from "../components/Page";
import { piece } from "../components/Piece";
import { ProblemBox } from "../components/ProblemBox";
import { Time } from "../components/Time";
import { DeploymentMark } from "../features/deployments/Mark";
import { useActOff } from "../features/devices/useActOff";
import { deleteRelease } from "../features/releases/api";
import { Artifacts, Manifest } from "../features/releases/Manifest";
import { Signatures } from "../features/releases/Signatures";
import { standingOf } from "../features/releases/standings";
import { RELEASES, useRelease } from "../features/releases/useReleases";
import { plural } from "../lib/text";
import "../features/deployments/deployments.css";
import page from "./Runs.module.css";
import classes from "../features/releases/Release.module.css";

const Compliance = piece(() => import("../features/releases/Compliance"), { what: "Which devices have it" });

export function Release() {
  const { releaseId = "" } = useParams({ strict: false });
  const { data: release, error, refetch } = useRelease(releaseId);
  useTitle(release ? `${release.name} ${release.version}` : "Release");
  return (
    <div className={page.page}>
      <Link to="/releases" className={page.back}>
        <Icon name="left" size={14} /> Releases
      </Link>
      {!release && <h1 className="visually-hidden">Release</h1>}
      {error && (
        <ProblemBox
          error={error}
          what={release ? "What is shown may be old." : "This release cannot be shown."}
          onRetry={() => refetch()}
        />
      )}
      {release ? (
        <Known release={release} />
      ) : (
        !error && (
          <Stack gap="md" role="status" aria-label="Loading the release">
            <Skeleton height={28} width="40%" />
            <Skeleton height={16} width="60%" />
            <Skeleton height={220} />
          </Stack>
        )
      )}
    </div>
  );
}

/** @param {{ release: import("../features/releases/api").ReleaseDetail }} props */
function Known({ release }) {
  const { standing } = /** @type {{ standing?: string }} */ (useSearch({ strict: false }));
  const { id, name, version, description, created_by, created_at, used_by, deployments, sha256 } = release;
  return (
    <>
      <div className={classes.head}>
        <h1 className={classes.title} data-testid="release-title">
          {name} {version}
        </h1>
        <Actions release={release} />
      </div>
      <p className={classes.meta}>
        {created_by} · <Time at={created_at} /> · <span className="mono">{sha256}</span>
      </p>
      {description && <p className={classes.description}>{description}</p>}
      <div className={classes.two}>
        <section className={classes.section} aria-label="What it says" data-testid="manifest">
          <h2 className={classes.heading}>What it says</h2>
          <Manifest release={release} />
        </section>
        <div className={classes.column}>
          <section className={classes.section} aria-label="Signatures">
            <h2 className={classes.heading}>Signatures</h2>
            <Signatures release={release} />
          </section>
          <section className={classes.section} aria-label="Files">
            <h2 className={classes.heading}>Files</h2>
            <Artifacts release={release} />
          </section>
          <section className={classes.section} aria-label="Deployments of it">
            <h2 className={classes.heading}>Deployments</h2>
            {used_by.length === 0 ? (
              <p className={classes.meta}>None brought it to a device yet.</p>
            ) : (
              <ul className={classes.uses}>
                {used_by.map(({ id, state, total, created_by, created_at }) => (
                  <li key={id} className={classes.use}>
                    <Link to="/deployments/$deploymentId" params={{ deploymentId: id }}>
                      {plural(total, "device")}
                    </Link>
                    <DeploymentMark state={state} />
                    <span className="muted">
                      {created_by} · <Time at={created_at} />
                    </span>
                  </li>
                ))}
              </ul>
            )}
            {deployments > used_by.length && (
              <Link to="/deployments" search={{ name }}>
                All deployments of {name}
              </Link>
            )}
          </section>
        </div>
      </div>
      <section className={classes.section} aria-label="Which devices have it">
        <h2 className={classes.heading}>Which devices have it</h2>
        <Suspense fallback={<Skeleton height={190} />}>
          <Compliance key={id} releaseId={id} standing={standingOf(standing)} />
        </Suspense>
      </section>
    </>
  );
}

/** @param {{ release: import("../features/releases/api").ReleaseDetail }} props */
function Actions({ release }) {
  const { id, name, version, deployments } = release;
  const off = useActOff();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState(false);
  const remove = useMutation({
    mutationFn: () => deleteRelease(id),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: [...RELEASES, "list"] });
      void navigate({ to: "/releases" });
    },
    onSettled: () => setAsking(false),
  });
  return (
    <div className={classes.actions}>
      <OffButton
        off={off}
        size="compact-md"
        leftSection={<Icon name="deploy" size={14} />}
        onClick={() => navigate({ to: "/deployments/new", search: { release: `${name}@${version}`, step: "targets" } })}
      >
        Deploy
      </OffButton>
      <OffButton
        off={off ?? (deployments > 0 ? "It was deployed: devices may have to go back to it." : null)}
        size="compact-md"
        variant="default"
        leftSection={<Icon name="trash" size={14} />}
        onClick={() => setAsking(true)}
      >
        Delete
      </OffButton>
      {remove.error && <ProblemBox error={remove.error} what="It was not deleted." />}
      <ConfirmDialog
        opened={asking}
        title={`Delete ${name} ${version}`}
        action="Delete release"
        count={1}
        busy={remove.isPending}
        onClose={() => setAsking(false)}
        onConfirm={() => remove.mutate()}
      >
        <p className={classes.meta}>
          Its manifest and its signatures go for good. Files that no other release uses go a while later.
        </p>
      </ConfirmDialog>
    </div>
  );
}
