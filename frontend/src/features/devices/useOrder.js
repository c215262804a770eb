/** The rows of a view, in order, following the live store. */
import { useMemo, useSyncExternalStore } from "react";
import { store } from "../../live";
import { createOrder } from "./order";

/** @param {import("./view").View} view */
export function useOrder(view) {
  const { q, status, trust, platform, owner, tag, sort } = view;
  const order = useMemo(
    () => createOrder(store, { q, status, trust, platform, owner, tag, sort, columns: [], widths: {} }),
    [q, status, trust, platform, owner, tag, sort],
  );
  const { ids, moved } = useSyncExternalStore(order.subscribe, order.get);
  return { ids, moved, resort: order.resort };
}
