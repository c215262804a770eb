/** A file for the server: chosen or dropped here, hashed, sent, with a bar, a pause and another try. */
import { useId, useState, useSyncExternalStore } from "react";
import { Button, Progress } from "@mantine/core";
import { Icon } from "../../../components/Icon";
import { ProblemBox } from "../../../components/ProblemBox";
import { onTick } from "../../../lib/clock";
import { formatBytes } from "../../../lib/text";
import { duration } from "../../../lib/time";
import { preciseDuration } from "../../runs/took";
import { useUpload } from "./useUpload";
import classes from "./UploadBox.module.css";

/** @typedef {{ name: string, size: number, sha256: string }} Sent */

/**
 * @param {{ label: string, off: string | null, sent: Sent | null, onSent: (sent: Sent | null) => void }} props
 * `sent` is the file that the server has
 */
export function UploadBox({ label, off, sent, onSent }) {
  const { upload, progress, take, drop } = useUpload(onSent);
  const [over, setOver] = useState(false);
  const id = useId();

  /** @param {FileList | null | undefined} files */
  function choose(files) {
    const file = files?.[0];
    if (!file || off) return;
    onSent(null);
    take(file);
  }

  function forget() {
    drop();
    onSent(null);
  }

  if (sent && (!progress || progress.phase === "done"))
    return (
      <div className={classes.box} data-testid="upload" data-phase="done">
        <Icon name="trusted" className={classes.ok} />
        <span className={classes.what}>
          <b>{sent.name}</b> {formatBytes(sent.size)}
          <span className={`mono ${classes.hash}`} title="SHA-256, computed here and by the server">
            {sent.sha256}
          </span>
        </span>
        <Button size="compact-sm" variant="default" onClick={forget}>
          Take another file
        </Button>
      </div>
    );
  if (upload && progress) return <Under upload={upload} progress={progress} onDrop={forget} />;
  return (
    <div className={classes.box} data-testid="upload" data-phase="none" data-over={over || undefined}>
      <Icon name="upload" />
      <label htmlFor={id} className={classes.what}>
        <b>{label}</b>
        <span className="muted">Choose it, or drop it here. A broken connection goes on where it ended.</span>
      </label>
      <input
        id={id}
        type="file"
        className={classes.input}
        disabled={off !== null}
        onDragEnter={() => setOver(true)}
        onDragLeave={() => setOver(false)}
        onDrop={() => setOver(false)} // what is dropped on it, it takes by itself
        onChange={(event) => choose(event.currentTarget.files)}
      />
    </div>
  );
}

/** @param {number | null} at this browser's clock, ms */
const useSecondsTo = (at) =>
  useSyncExternalStore(onTick, () => (at === null ? 0 : Math.max(0, Math.ceil((at - Date.now()) / 1000))));

/** @param {import("./upload").Progress} progress @param {number} seconds to the next attempt */
export function progressWords({ phase, part, done, total, bytesPerS }, seconds) {
  const far = `${formatBytes(done)} of ${formatBytes(total)}`;
  if (phase === "waiting") return `${far}. ${seconds > 0 ? `Tried again in ${duration(seconds)}.` : "Trying again…"}`;
  if (phase === "paused") return `Paused at ${far}.`;
  if (phase === "failed") return `Stopped at ${far}.`;
  if (part === "hashing") return `Computing its SHA-256: ${far}.`;
  const left = bytesPerS > 0 && total > done ? `, ${preciseDuration((total - done) / bytesPerS)} left` : "";
  return `Sent ${far}${bytesPerS > 0 ? `, ${formatBytes(bytesPerS)}/s` : ""}${left}.`;
}

/** @param {{ upload: import("./upload").Upload, progress: import("./upload").Progress, onDrop: () => void }} props */
function Under({ upload, progress, onDrop }) {
  const seconds = useSecondsTo(progress.retryAt);
  const { phase, done, total, error } = progress;
  const stopped = phase === "paused" || phase === "failed";
  return (
    <div className={classes.under} data-testid="upload" data-phase={phase}>
      <div className={classes.line}>
        <b className={classes.name}>{upload.file.name}</b>
        <span className={classes.words}>{progressWords(progress, seconds)}</span>
        {stopped || phase === "waiting" ? (
          <Button size="compact-sm" variant="default" onClick={upload.start}>
            {phase === "paused" ? "Go on" : "Try now"}
          </Button>
        ) : (
          <Button size="compact-sm" variant="default" onClick={upload.pause}>
            Pause
          </Button>
        )}
        <Button size="compact-sm" variant="subtle" color="gray" onClick={onDrop}>
          Cancel
        </Button>
      </div>
      <Progress
        value={total > 0 ? (100 * done) / total : 100}
        color={phase === "failed" ? "danger" : stopped || phase === "waiting" ? "gray" : undefined}
        aria-label={`Progress of ${upload.file.name}`}
      />
      {error !== null && (
        <ProblemBox
          error={error}
          what={phase === "waiting" ? "The upload was interrupted." : "The upload stopped."}
          onRetry={undefined}
        />
      )}
    </div>
  );
}
