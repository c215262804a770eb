/** One file that is being uploaded, as a component follows it. It is given up when its page is left. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { hashFile } from "./hashFile";
import { transport } from "./transport";
import { createUpload } from "./upload";

const nothing = () => () => {};

/** @param {(artifact: { name: string, size: number, sha256: string }) => void} onDone */
export function useUpload(onDone) {
  const [upload, setUpload] = useState(/** @type {import("./upload").Upload | null} */ (null));
  const progress = useSyncExternalStore(upload?.subscribe ?? nothing, () => upload?.get() ?? null);
  useEffect(() => () => upload?.drop(), [upload]);

  const take = useCallback(
    /** @param {File} file */
    (file) => {
      const next = createUpload({
        file,
        transport,
        hash: hashFile,
        onDone: (sha256) => onDone({ name: file.name, size: file.size, sha256 }),
      });
      setUpload(next);
      next.start();
    },
    [onDone],
  );
  const drop = useCallback(() => setUpload(null), []);
  return { upload, progress, take, drop };
}
