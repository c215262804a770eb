"""What an earlier agent left behind when it was killed: entries from the journal, processes, files.

Invariant: a task that had started is never started again. Its process group is ended first and only then is it reported
`interrupted`, so that who reads that may start it anew.
"""

import time
from pathlib import Path

import msgspec

from deployx_agent.tasks import processes, scripts
from deployx_agent.tasks.entry import Entry, clock
from deployx_agent.tasks.journal import Journal, Row, Stage
from deployx_agent.tasks.runner import Ending
from deployx_agent.tasks.spool import NOTHING, Spool
from deployx_protocol.releases import Outcome
from deployx_protocol.task_messages import Task, TaskUpdate
from deployx_protocol.tasks import TaskCode, TaskState

_SPOOL_SUFFIX = ".out"


def spool_name(task_id: str) -> str:
    """The file in which the output of a task is kept."""
    return task_id + _SPOOL_SUFFIX


def spool_path(folder: Path, task_id: str) -> Path:
    """Where that file is."""
    return folder / spool_name(task_id)


def load(journal: Journal, folder: Path) -> list[tuple[Entry, Row]]:
    """Every task that is not closed, oldest first, with its row less what is large, but for those that had
    started; files that belong to none are removed. Reads whole spools, one after the other."""
    found: list[tuple[Entry, Row]] = []
    for row in journal.unclosed():
        scripts.remove(folder, row.task_id)
        task = row.task if row.stage is Stage.STARTED else None
        found.append((restore(folder, row), row._replace(task=task, result=None, output=None)))
    kept = {spool_path(folder, row.task_id) for _, row in found}
    for path in folder.glob(f"*{_SPOOL_SUFFIX}"):
        if path not in kept:
            path.unlink(missing_ok=True)
    return found


def strays(journal: Journal, owner: str) -> dict[int, str]:
    """Groups of tasks of this agent whose start its journal does not know, since it was lost or put back to an earlier
    time: process group → task id, which may be empty. What a task that is over has left running is not among them."""
    found = {}
    for pid, task_id in processes.leaders(owner).items():
        row = journal.find(task_id) if task_id else journal.led_by(pid, processes.identify(pid))
        if row is None or row.stage is Stage.RECEIVED:
            found[pid] = task_id
    return found


def restore(folder: Path, row: Row) -> Entry:
    """The entry that a row of the journal stands for."""
    path = spool_path(folder, row.task_id)
    if row.output and not (path.exists() and path.stat().st_size == len(row.output)):
        path.write_bytes(row.output)  # the power failed before the file was on the disk; the journal was
    final = msgspec.json.decode(row.result, type=TaskUpdate) if row.result else None
    if final and row.stage is Stage.CLOSED:  # its output is gone from here: the server has, or had, all of it
        lost_bytes = final.lost_bytes + final.stdout_bytes + final.stderr_bytes
        final = msgspec.structs.replace(
            final, chunks=0, stdout_bytes=0, stderr_bytes=0, lost_bytes=lost_bytes, digest=""
        )
    return Entry(
        task_id=row.task_id,
        spool=_spool(path) if path.exists() else NOTHING,
        state=final.state if final else TaskState.RUNNING if row.stage is Stage.STARTED else TaskState.ACCEPTED,
        since=clock() - max(time.time() - row.at, 0.0),
        final=final,
        confirmed=False,
    )


def _spool(path: Path) -> Spool:
    try:
        return Spool(path, quota_bytes=0)
    except OSError:  # unreadable output must not keep the agent from starting
        path.unlink()
        return Spool(path, quota_bytes=0)


async def end_left_over(row: Row, owner: str) -> Ending:
    """End what is left of a task that an earlier agent on the folder ``owner`` started; how it is reported."""
    pgid, mark = row.pgid or 0, row.mark or ""
    message = "The agent was killed while it ran; its processes were ended."
    if processes.rebooted(mark):
        message = "The machine went down while it ran."
    elif pgid and processes.is_left_over(pgid, mark, row.task_id, owner) and not await processes.end(pgid):
        message = "The agent was killed while it ran; some of its processes cannot be ended."
    of_release = row.task is not None and msgspec.json.decode(row.task, type=Task).release is not None
    outcome = Outcome.UNTOUCHED if of_release else Outcome.NONE  # one that was begun has a record of its own
    return Ending(TaskState.INTERRUPTED, TaskCode.AGENT_KILLED, message, outcome=outcome)
