/** What people do with one deployment: asked first, shown at once, undone with the reason where it is refused. */
import { useState } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { steer } from "./steering";

/** @typedef {import("./steering").Action} Action */

/** @param {import("./states").Deployment} deployment */
export function useSteer(deployment) {
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState(/** @type {Action | null} */ (null));
  const [refused, setRefused] = useState(/** @type {{ action: Action, error: unknown } | null} */ (null));

  /** @param {Action} action @param {{ note: string, states: import("./states").TargetState[] }} how */
  async function confirm(action, how) {
    setAsking(null);
    setRefused(null);
    try {
      await steer(deployment, action, how);
    } catch (error) {
      setRefused({ action, error });
    }
    void queryClient.invalidateQueries({ queryKey: ["deployments", "log", deployment.id] });
  }

  return { asking, ask: setAsking, close: () => setAsking(null), confirm, refused, forgive: () => setRefused(null) };
}
