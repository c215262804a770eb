/**
 * The draft that the address holds. What is typed is kept here first and written into the address a moment later, or each
 * letter would wait for the router; an address that changes by itself (back, forward, a link) replaces it.
 */
import { useState } from "react";
import { useDebouncedCallback } from "@mantine/hooks";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { draftOf, searchOf } from "./draft";

const TYPED_MS = 300;

/** @param {import("./draft").Draft} draft */
const keyOf = (draft) => JSON.stringify(searchOf(draft));

export function useDraft() {
  const search = /** @type {Record<string, unknown>} */ (useSearch({ strict: false }));
  const navigate = useNavigate();
  const there = keyOf(draftOf(search));
  const [{ draft, seen }, setState] = useState(() => ({ draft: draftOf(search), seen: there, wrote: there }));
  if (there !== seen)
    setState((now) =>
      there === now.wrote ? { ...now, seen: there } : { draft: draftOf(search), seen: there, wrote: there },
    );

  const write = useDebouncedCallback(
    (/** @type {import("./draft").Draft} */ next) => {
      setState((now) => ({ ...now, wrote: keyOf(next) }));
      void navigate({
        to: "/deployments/new",
        search: (/** @type {any} */ now) => ({ ...searchOf(next), step: now.step }),
        replace: true,
        resetScroll: false,
      });
    },
    { delay: TYPED_MS, flushOnUnmount: false },
  );

  return {
    draft,
    step: search.step,
    /** @param {Partial<import("./draft").Draft>} change */
    change(change) {
      const next = { ...draft, ...change };
      setState((now) => ({ ...now, draft: { ...now.draft, ...change } }));
      write(next);
    },
    /** @param {import("./draft").Step} step another step, to which the browser's way back leads */
    async go(step) {
      write.cancel();
      setState((now) => ({ ...now, wrote: keyOf(draft) }));
      const search = searchOf(draft);
      const here = { to: "/deployments/new", resetScroll: false };
      if (there !== keyOf(draft))
        await navigate({ ...here, search: (/** @type {any} */ now) => ({ ...search, step: now.step }), replace: true });
      await navigate({ ...here, search: { ...search, step } });
    },
  };
}
