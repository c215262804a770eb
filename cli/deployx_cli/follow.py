"""Reading a run's output: all that there is, or on and on until the run is over.

Invariant: each chunk goes to the sink once, in order, whatever the server does meanwhile; a server that is away for a
moment is asked again, and the run goes on without us in any case.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from deployx_cli import safe
from deployx_cli.errors import EXIT_FAILED, EXIT_SOME_FAILED, Unreachable
from deployx_cli.moments import for_people
from deployx_cli.output import counted
from deployx_cli.progress import Progress, bar, in_order
from deployx_cli.sinks import Chunks, Sink
from deployx_cli.work import FINAL, Work

AWAY_S = 60.0
"""For how long a server that does not answer is asked again."""
LATE_S = 30.0
"""For how long output that was announced is waited for after the last task is over."""
_FASTEST_S, _SLOWEST_S = 0.1, 1.0
_SHARED_MAX_BYTES = 65_536
_NAMED = 20
_WAITING = frozenset({"queued", "sent", "accepted"})

Task = dict[str, Any]


class Follower:
    """Gives the output of a run's tasks to a sink. `picked` chooses among the tasks."""

    def __init__(
        self,
        work: Work,
        run_id: str,
        sink: Sink,
        progress: Progress,
        picked: Callable[[list[Task]], list[Task]] = lambda tasks: tasks,
    ) -> None:
        self._work = work
        self._run_id = run_id
        self._sink = sink
        self._progress = progress
        self._picked = picked
        self._next_seq: dict[str, int] = {}
        self._ended: set[str] = set()
        self._by_digest: dict[str, Chunks] = {}

    def once(self) -> list[Task]:
        """Read what there is, and give the tasks as they are."""
        tasks = self._picked(self._work.tasks(self._run_id))
        self._read(tasks)
        for task in tasks:
            self._end(task)
        return tasks

    def until_over(self, rev: int = 0) -> list[Task]:
        """Read until every task is over and its output is whole. `rev`: of the run, when nothing of it had printed.

        Raises Unreachable when the server stays away.
        """
        pause_s, answered, over_at = _FASTEST_S, time.monotonic(), 0.0
        tasks: list[Task] = []
        while True:
            try:
                run = self._work.changed(self._run_id, rev, 0.0 if over_at else _SLOWEST_S)
                began, before, moved, rev = time.monotonic(), tasks, run["rev"] > rev, run["rev"]
                if run["counts"] and _WAITING.issuperset(run["counts"]):  # nothing can have printed yet
                    answered = began
                    self._progress.show(bar(run["counts"]))
                    continue
                tasks = self._picked(self._work.tasks(self._run_id))
                listing_s = time.monotonic() - began
                self._read(tasks)
                answered = time.monotonic()
            except Unreachable:
                if time.monotonic() - answered > AWAY_S:
                    raise
                self._progress.show("The server does not answer; the run goes on. Asking again …")
                time.sleep(_SLOWEST_S)
                continue
            self._progress.show(bar(Counter(str(task["state"]) for task in tasks)))
            if all(task["state"] in FINAL for task in tasks):
                over_at = over_at or answered
                late = any(not task["output_complete"] for task in tasks)
                if not late or answered - over_at > LATE_S:
                    break
                pause_s = _FASTEST_S if tasks != before else min(pause_s * 1.5, _SLOWEST_S)
                time.sleep(pause_s)
            else:
                # A long list is asked for half of the time at most, and one in which nothing ended not at once.
                time.sleep(listing_s if moved else max(listing_s, _FASTEST_S))
        for task in tasks:
            self._end(task)
        self._progress.clear()
        return tasks

    def _read(self, tasks: list[Task]) -> None:
        for task in tasks:
            while not _deleted(task) and self._next_seq.get(task["id"], 0) < task["output_next_seq"]:
                if not self._read_piece(task):
                    break
            if task["state"] in FINAL and task["output_complete"]:
                self._end(task)

    def _read_piece(self, task: Task) -> bool:
        """Read some, and say whether there may be more. Small outputs that are equal are read once."""
        at = self._next_seq.get(task["id"], 0)
        whole = task["state"] in FINAL and task["output_complete"] and task["digest"]
        if at == 0 and whole and (known := self._by_digest.get(task["digest"])) is not None:
            self._next_seq[task["id"]] = task["output_next_seq"]
            self._sink.feed(task, known)
            return False
        piece = self._work.output(task["id"], at)
        if piece.gone:
            self._progress.say(f"{safe.text(task['device_name'])}: output was deleted, as the server's retention says.")
        small = task["output_bytes"] <= _SHARED_MAX_BYTES and piece.next_seq >= task["output_next_seq"]
        if at == 0 and whole and small and not piece.gone:
            self._by_digest[task["digest"]] = piece.chunks
        self._next_seq[task["id"]] = piece.next_seq
        self._sink.feed(task, piece.chunks)
        return piece.next_seq > at

    def _end(self, task: Task) -> None:
        if task["id"] not in self._ended:
            self._ended.add(task["id"])
            self._sink.end(task)
            for sentence in _missing(task):
                self._progress.say(f"{safe.text(task['device_name'])}: {sentence}")


def _deleted(task: Task) -> bool:
    """Whether what it printed is there no more."""
    return bool(task.get("output_deleted_at"))  # a server before retention does not say, and deletes nothing


def _missing(task: Task) -> Iterator[str]:
    """What of its output cannot be printed, and why."""
    if _deleted(task):
        on = safe.text(task["output_deleted_at"])
        yield f"the output, {task['output_bytes']:,} bytes, was deleted at {on}, as the server's retention says."
    if task["output_lost_bytes"]:
        lost = f"{task['output_lost_bytes']:,} bytes of output were not kept"
        yield f"{lost}: they are past the quota, or the device's disk was full."


def verdict(tasks: list[Task]) -> int:
    """0: all succeeded; 1: none did; 3: some did not."""
    succeeded = sum(task["state"] == "succeeded" for task in tasks)
    if succeeded == len(tasks) and tasks:
        return 0
    return EXIT_SOME_FAILED if succeeded else EXIT_FAILED


def summary(tasks: list[Task]) -> list[str]:
    """How it ended, and why where it did not end well."""
    counts = in_order(Counter(str(task["state"]) for task in tasks))
    said = [f"{len(tasks)} device{'' if len(tasks) == 1 else 's'}: {counted(counts)}"]
    bad = [task for task in tasks if task["state"] != "succeeded"]
    said += [f"  {safe.text(task['device_name'])}: {safe.text(for_people(task['reason']))}" for task in bad[:_NAMED]]
    if len(bad) > _NAMED:
        said.append(f"  and {len(bad) - _NAMED} more")
    return said
