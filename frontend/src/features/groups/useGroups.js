/** The groups of whoever is signed in. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { GROUPS, listGroups } from "./api";

export const useGroups = () => useQuery({ queryKey: GROUPS, queryFn: listGroups });

/**
 * A change of groups; the list is read again after it, and so is what a selector that names one reaches.
 * @template A, R
 * @param {(argument: A) => Promise<R>} change
 * @param {() => void} [onSuccess]
 */
export function useGroupChange(change, onSuccess) {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess,
    onSettled: () =>
      Promise.all([GROUPS, ["run-preview"]].map((queryKey) => queryClient.invalidateQueries({ queryKey }))),
  });
}
