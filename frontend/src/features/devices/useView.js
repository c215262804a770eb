/** The view of the list is the address: reading it is parsing, changing it is navigating. */
import { useCallback, useMemo } from "react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { searchOf, viewFrom } from "./view";

/** @typedef {import("./view").View} View */

export function useView() {
  const search = /** @type {import("./view").Search} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const { q, status, trust, platform, owner, sort, cols } = search;
  const view = useMemo(
    () => viewFrom({ q, status, trust, platform, owner, sort, cols }),
    [q, status, trust, platform, owner, sort, cols],
  );

  const change = useCallback(
    /** @param {Partial<View>} part */
    (part) => {
      /** @param {any} now */
      const next = (now) => searchOf({ ...viewFrom(now), ...part });
      // The list stays where it is, and with it the device beside it.
      void navigate({ to: ".", search: next, replace: true, resetScroll: false });
    },
    [navigate],
  );
  return { view, change };
}
