/** Through which group somebody sees a device of another one; and, to whom it belongs, who else sees it. */
import { useQuery } from "@tanstack/react-query";
import { useLive } from "../../live";
import { accessQuery } from "../groups/api";
import classes from "./Device.module.css";

/** @param {number} id */
export function useAccess(id) {
  const snapshots = useLive((now) => now.snapshots); // a share that comes or goes brings another one
  return useQuery(accessQuery(id, snapshots)).data;
}

/** @param {{ device: import("../../live/rows").Device }} props */
export function Access({ device }) {
  const access = useAccess(device.id);
  if (!access) return null;
  const { through, members } = access;
  if (!access.own && through.length > 0) {
    return (
      <p className={classes.access} data-testid="access">
        Shared with you through {listed(through.map(({ name, role }) => `${name} (${role})`))}.
      </p>
    );
  }
  if (members.length === 0) return null;
  return (
    <p className={classes.access} data-testid="access">
      Shared with {listed(members.map(({ email, name, role }) => `${email} (${role}, ${name})`))}.
    </p>
  );
}

/** @param {string[]} names */
const listed = (names) => new Intl.ListFormat("en-GB", { type: "conjunction" }).format(names);
