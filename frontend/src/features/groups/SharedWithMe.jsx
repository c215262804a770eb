/** Groups of others that are shared with whoever is signed in: whose they are, in which role, and the way out. */
import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ProblemBox } from "../../components/ProblemBox";
import { plural } from "../../lib/text";
import { useLive } from "../../live";
import { SHARES, leaveGroup, sharesQuery } from "./api";
import classes from "./GroupsMenu.module.css";

export function SharedWithMe() {
  const snapshots = useLive((now) => now.snapshots); // a share that comes or goes brings another one
  const shares = useQuery(sharesQuery(snapshots));
  const items = shares.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <section aria-label="Shared with you">
      <h3 className={classes.heading}>Shared with you</h3>
      <ul className={classes.list}>
        {items.map((share) => (
          <Row key={share.group_id} share={share} />
        ))}
      </ul>
    </section>
  );
}

/** @param {{ share: import("./api").Share }} props */
function Row({ share }) {
  const queryClient = useQueryClient();
  const leave = useMutation({
    mutationFn: () => leaveGroup(share.group_id),
    onSettled: () => queryClient.invalidateQueries({ queryKey: SHARES }),
  });
  return (
    <li data-testid="share">
      <div className={classes.line}>
        <span className={classes.take} data-plain>
          <span className="cut">{share.name}</span>
          <span className={classes.what}>
            {plural(share.total, "device")} · {share.role} · from {share.owner}
          </span>
        </span>
        <Button
          size="compact-xs"
          variant="default"
          aria-label={`Leave ${share.name}`}
          loading={leave.isPending}
          onClick={() => leave.mutate()}
        >
          Leave
        </Button>
      </div>
      {leave.error && <ProblemBox error={leave.error} what="You still see its devices." />}
    </li>
  );
}
