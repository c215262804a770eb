/** Whose device it is; an administrator can give it to somebody else. */
import { NativeSelect } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { ProblemBox } from "../../components/ProblemBox";
import { api, ask } from "../../lib/api";
import { useMe } from "../auth/session";
import { giveTo } from "../devices/actions";
import { useActOff } from "../devices/useActOff";
import classes from "./Device.module.css";

/** @param {{ device: import("../../live/rows").Device }} props */
export function Owner({ device }) {
  const me = useMe();
  if (me?.role === "admin") return <Choose device={device} />;
  return (
    <span className={classes.owner}>
      <span className="muted">Owner</span> {device.owner ?? "nobody"}
    </span>
  );
}

/** @param {{ device: import("../../live/rows").Device }} props */
function Choose({ device }) {
  const off = useActOff();
  const users = useQuery({ queryKey: ["users"], queryFn: () => ask(api.GET("/api/v1/users")) });
  const give = useMutation({
    mutationFn: (/** @type {{ id: number, email: string }} */ { id, email }) => giveTo(device, id, email),
  });
  /** @type {{ id: number, email: string }[]} */
  const known = users.data?.items ?? [];
  const listed = known.some(({ id }) => id === device.user_id);
  const current = device.user_id === null ? "" : String(device.user_id);
  return (
    <div className={classes.owner}>
      <NativeSelect
        size="xs"
        aria-label="Owner"
        leftSectionWidth={60}
        leftSection={<span className="muted">Owner</span>}
        disabled={off !== null}
        title={off ?? undefined}
        value={current}
        data={[
          ...(device.user_id === null ? [{ value: "", label: "nobody" }] : []),
          ...(device.user_id !== null && !listed ? [{ value: current, label: device.owner ?? current }] : []),
          ...known.map(({ id, email }) => ({ value: String(id), label: email })),
        ]}
        onChange={(event) => {
          const user = known.find(({ id }) => String(id) === event.currentTarget.value);
          if (user) give.mutate(user);
        }}
      />
      {give.error && <ProblemBox error={give.error} what="The owner stays as it was." />}
    </div>
  );
}
