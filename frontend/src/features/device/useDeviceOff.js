/** Why this user cannot change a device, or null: as for any action, and because it belongs to somebody else. */
import { useMe } from "../auth/session";
import { useActOff } from "../devices/useActOff";

/** @param {{ user_id: number | null, owner: string | null }} device */
export function useDeviceOff({ user_id, owner }) {
  const off = useActOff();
  const me = useMe();
  const foreign = me && me.role !== "admin" && user_id !== me.id;
  return off ?? (foreign ? `It belongs to ${owner ?? "nobody"}, who shares it with you.` : null);
}
