/** Whom the draft would reach and in which wave, asked of the server a moment after the last keystroke, and again now and then. */
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { checkSelector } from "../../groups/api";
import { previewDeployment } from "../api";
import { EMPTY, problemsAt, problemsOf, requestOf } from "./draft";

const TYPED_MS = 300;
const REFRESH_MS = 10_000;

/** @param {import("../api").DeploymentRequest} request @param {AbortSignal} signal */
async function preview(request, signal) {
  if ("selector" in request.targets) await checkSelector(request.targets.selector, signal); // it says where it is wrong
  return previewDeployment(request, signal);
}

/**
 * What is asked: with the strategy once that is whole, before that only for the devices; null while release or devices
 * are missing.
 *
 * @param {import("./draft").Draft} draft
 */
function askedOf(draft) {
  const problems = problemsOf(draft);
  if (problems.release || problems.selector || problems.ids) return null;
  const whole = Object.keys(problemsAt(problems, "waves")).length === 0;
  return requestOf(whole ? draft : { ...EMPTY, ...devicesOf(draft) });
}

/** @param {import("./draft").Draft} draft */
const devicesOf = ({ release, by, selector, ids, following }) => ({ release, by, selector, ids, following });

/** @param {import("./draft").Draft} draft */
export function usePreview(draft) {
  const request = askedOf(draft);
  const wanted = JSON.stringify(request);
  const [asked] = useDebouncedValue(wanted, TYPED_MS);
  const query = useQuery({
    queryKey: ["deployment-preview", asked],
    queryFn: ({ signal }) => preview(JSON.parse(asked), signal),
    enabled: asked !== "null",
    placeholderData: (before) => before,
    refetchInterval: REFRESH_MS,
    retry: false,
  });
  return {
    preview: request ? query.data : undefined,
    error: request ? query.error : null,
    /** It is not yet what the draft says. */
    behind: request !== null && (asked !== wanted || query.isPlaceholderData || query.isPending),
    retry: () => void query.refetch(),
  };
}

/** @typedef {ReturnType<typeof usePreview>} PreviewState */
