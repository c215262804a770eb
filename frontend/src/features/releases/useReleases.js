/** Releases as lists and one by one. They change seldom and only by people: read again when a page is come back to. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { listReleases, readRelease } from "./api";

const PAGE = 100;

/** @type {import("@tanstack/react-query").QueryKey} */
export const RELEASES = ["releases"];

/** Newest first. @param {{ q?: string, name?: string }} filter */
export function useReleaseList({ q, name }) {
  return useInfiniteQuery({
    queryKey: [...RELEASES, "list", { q, name }],
    queryFn: ({ pageParam }) => listReleases({ q, name, cursor: pageParam, limit: PAGE }),
    initialPageParam: /** @type {string | undefined} */ (undefined),
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: (before) => before,
    staleTime: 0,
  });
}

/** @param {string} ref an id, or `NAME@VERSION` */
export const useRelease = (ref) =>
  useQuery({ queryKey: [...RELEASES, "one", ref], queryFn: () => readRelease(ref), staleTime: 0 });

/** The newest release of a name, which the next one follows; null where there is none. @param {string} name */
export const useNewest = (name) =>
  useQuery({
    queryKey: [...RELEASES, "newest", name],
    queryFn: async () => (await listReleases({ name, limit: 1 })).items[0] ?? null,
    enabled: name !== "",
    staleTime: 0,
  });

/**
 * The newest of each name, with how many there are besides.
 *
 * @template {{ name: string }} T
 * @param {T[]} releases newest first
 * @returns {{ newest: T, older: T[] }[]}
 */
export function byName(releases) {
  /** @type {Map<string, { newest: T, older: T[] }>} */
  const names = new Map();
  for (const release of releases) {
    const known = names.get(release.name);
    if (known) known.older.push(release);
    else names.set(release.name, { newest: release, older: [] });
  }
  return [...names.values()];
}
