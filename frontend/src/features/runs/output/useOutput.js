/** A reader of one task's output, fed by what the task says, and gone with the component. */
import { useEffect, useMemo } from "react";
import { useAtom } from "../../../lib/atom";
import { readOutput } from "../api";
import { UNFINISHED } from "../states";
import { BYTES_KEPT } from "./pieces";
import { createReader } from "./reader";

/** @param {import("../../../live/runs").Task} task */
export function useOutput(task) {
  const { id } = task;
  const reader = useMemo(
    () => createReader({ read: (fromSeq, limitBytes, signal) => readOutput(id, fromSeq, limitBytes, signal) }),
    [id],
  );
  useEffect(() => {
    reader.start();
    return reader.stop;
  }, [reader]);

  const { output_next_seq: end, output_bytes: bytes } = task;
  const running = UNFINISHED.has(task.state);
  useEffect(() => {
    const first = reader.get().end === 0;
    // What still runs is shown from its end; what is over from its beginning.
    if (first && running) reader.follow(bytes > BYTES_KEPT);
    reader.known(end, bytes);
  }, [reader, end, bytes, running]);
  return { reader, held: useAtom(reader) };
}
