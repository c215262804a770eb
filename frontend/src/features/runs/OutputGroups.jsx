/** What the devices said: equal outputs once, with how many said it. */
import { Button, Skeleton, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ProblemBox } from "../../components/ProblemBox";
import { formatCount, plural } from "../../lib/text";
import { readOutput } from "./api";
import { OutputRow } from "./output/OutputRow";
import { createPart, pieceOf } from "./output/pieces";
import { unfinished } from "./states";
import { TaskMark } from "./TaskMark";
import { useOutputs } from "./useRuns";
import output from "./output/Output.module.css";
import classes from "./OutputGroups.module.css";

const SAMPLE_BYTES = 4096;
const SAMPLE_ROWS = 12;
const ROW_HEIGHT = 18;

/** @param {{ run: import("../../live/runs").Run, onFilter: (digest: string) => void }} props */
export function OutputGroups({ run, onFilter }) {
  const groups = useOutputs(run);
  if (!groups.data) {
    if (groups.error)
      return <ProblemBox error={groups.error} what="The outputs cannot be shown." onRetry={() => groups.refetch()} />;
    return (
      <Stack gap={10} role="status" aria-label="Loading the outputs">
        <Skeleton height={90} />
        <Skeleton height={90} />
      </Stack>
    );
  }
  const { items, more } = groups.data;
  const left = unfinished(run);
  if (items.length === 0)
    return <p className="muted">No device is done yet. Equal outputs stand here together, each once.</p>;
  return (
    <>
      <ul className={classes.list} data-testid="output-groups">
        {items.map((group) => (
          <Group key={group.sample_task_id} group={group} onFilter={onFilter} />
        ))}
      </ul>
      {more > 0 && <p className="muted">{plural(more, "more device")} said something else each.</p>}
      {left > 0 && <p className="muted">{plural(left, "device")} to go.</p>}
    </>
  );
}

/** @param {{ group: import("./api").OutputGroup, onFilter: (digest: string) => void }} props */
function Group({ group, onFilter }) {
  const { digest, state, exit_code, signal, count, sample_task_id } = group;
  return (
    <li className={classes.group} data-testid="output-group" data-count={count}>
      <div className={classes.head}>
        <b>{plural(count, "device")}</b>
        <TaskMark state={state} />
        {exit_code !== null && <span className="muted">exit code {exit_code}</span>}
        {signal !== null && <span className="muted">signal {signal}</span>}
        <span className={classes.actions}>
          {digest && count > 1 && (
            <Button size="compact-xs" variant="default" onClick={() => onFilter(digest)}>
              Show the {formatCount(count)}
            </Button>
          )}
          <Button
            size="compact-xs"
            variant="default"
            renderRoot={(/** @type {any} */ props) => (
              <Link to="." search={(/** @type {any} */ now) => ({ ...now, task: sample_task_id })} {...props} />
            )}
          >
            Open {count > 1 ? "one" : "it"}
          </Button>
        </span>
      </div>
      <Sample taskId={sample_task_id} />
    </li>
  );
}

/** @param {{ taskId: string }} props */
function Sample({ taskId }) {
  const sample = useQuery({
    queryKey: ["output-sample", taskId],
    queryFn: ({ signal }) => readOutput(taskId, 0, SAMPLE_BYTES, signal),
    select: ({ chunks, complete, gone }) => ({ rows: createPart(chunks.map(pieceOf)).rows, complete, gone }),
    refetchInterval: ({ state }) => (state.data?.complete === false && state.data.chunks.length === 0 ? 2000 : false),
  });
  if (!sample.data) return sample.error ? <p className="muted">{sample.error.message}</p> : <Skeleton height={36} />;
  const { rows, complete, gone } = sample.data;
  if (gone) return <p className={classes.nothing}>Its output was deleted, as the server&rsquo;s retention says.</p>;
  if (rows.length === 0)
    return <p className={classes.nothing}>{complete ? "Printed nothing." : "Its output is on its way."}</p>;
  const shown = rows.slice(0, SAMPLE_ROWS);
  return (
    <div className={`${output.box} ${classes.sample}`} style={{ height: shown.length * ROW_HEIGHT + 2 }}>
      {shown.map(({ text, marks, stream }, index) => (
        <OutputRow key={index} index={index} top={index * ROW_HEIGHT} text={text} marks={marks} stream={stream} />
      ))}
    </div>
  );
}
