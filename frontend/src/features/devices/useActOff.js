/** Why this user cannot act now, or null: the link is lost, or the role may only look. */
import { useActionsOff } from "../../live";
import { useMayAct } from "../auth/session";

export function useActOff() {
  const linkOff = useActionsOff();
  const mayAct = useMayAct();
  return linkOff ?? (mayAct ? null : "Your role may look, but not change anything.");
}
