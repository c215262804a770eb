/** Whom a draft would reach, asked of the server a moment after the last keystroke, and again now and then: devices come and go. */
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { checkSelector } from "../../groups/api";
import { previewRun } from "../api";
import { requestOf, targetsOf } from "./draft";

const TYPED_MS = 300;
const REFRESH_MS = 10_000;

/** @param {import("../api").RunRequest} request @param {AbortSignal} signal */
async function preview(request, signal) {
  if ("selector" in request.targets) await checkSelector(request.targets.selector, signal);
  return previewRun(request, signal);
}

/** @param {import("./draft").Draft} draft */
export function usePreview(draft) {
  const targets = targetsOf(draft);
  const { request } = requestOf(draft);
  const wanted = JSON.stringify(request ?? (targets && { targets }));
  const [asked] = useDebouncedValue(wanted, TYPED_MS);
  const query = useQuery({
    queryKey: ["run-preview", asked],
    queryFn: ({ signal }) => preview(JSON.parse(asked), signal),
    enabled: asked !== "null",
    placeholderData: (before) => before,
    refetchInterval: REFRESH_MS,
    retry: false,
  });
  return {
    preview: targets ? query.data : undefined,
    error: targets ? query.error : null,
    /** It is not yet what the draft says. */
    behind: targets !== null && (asked !== wanted || query.isPlaceholderData || query.isPending),
    retry: () => void query.refetch(),
  };
}
