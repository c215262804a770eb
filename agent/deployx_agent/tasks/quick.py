"""Tasks that end at once, from their receipt to their result, in the journal's thread.

Most commands are over within milliseconds. For one of them each step in the loop (a commit that returned, a pipe that
can be read, a child that ended) costs more than the step itself, and all agents of a fleet take them at the same time.
So the thread that journals a task lets it go as well, hears it, and journals its end: the loop is woken once. What goes
on for longer than `GATHER_S`, prints more than is held in memory, or is in somebody's way is given back to the loop as
it is.

Invariants: the same order as in the loop: journalled, let go, ended, journalled, told. While a task is in here, nobody
else touches its child or its spool; whoever wants to end it, or the journal, calls ``hurry``.
"""

import os
import select
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence

from deployx_agent.tasks.child import Child
from deployx_agent.tasks.entry import Entry, update_of
from deployx_agent.tasks.journal import Group, Row
from deployx_agent.tasks.pipes import GATHER_S
from deployx_agent.tasks.runner import Ending, judge
from deployx_agent.tasks.spool import HELD_MAX_BYTES, Spool
from deployx_protocol.limits import CHUNK_MAX_BYTES
from deployx_protocol.task_messages import STDOUT, Task, TaskUpdate

_UNHEARD_S = 0.03
POSSIBLE = hasattr(os, "pidfd_open") and hasattr(os, "eventfd")
Receive = Callable[[Sequence[Task], Mapping[str, Group]], list[Row]]
Finish = Callable[[Sequence[tuple[TaskUpdate, Spool]]], None]


class Quick:
    """One task in here."""

    __slots__ = ("child", "ending", "entry", "final", "heard_bytes", "pipes")

    def __init__(self, entry: Entry, child: Child) -> None:
        self.entry = entry
        self.child = child
        self.pipes = child.pipes
        self.heard_bytes = 0
        self.ending: Ending | None = None
        """How it ended; None if it goes on, or has not been let go."""
        self.final: TaskUpdate | None = None
        """What is reported of it, when that is in the journal."""

    def hear(self) -> list[int]:
        """Hear what is in its pipes, as much as may be held; those that have come to their end, and are closed. If
        nobody can write to one any more, nothing is left to wait for."""
        return [descriptor for descriptor in [*self.pipes] if self._hear_all(descriptor)]

    def _hear_all(self, descriptor: int) -> bool:
        heard, stream = self.child.heard, self.pipes[descriptor]
        while self.heard_bytes <= HELD_MAX_BYTES:
            try:
                data = os.read(descriptor, CHUNK_MAX_BYTES)
            except BlockingIOError:
                break
            if not data:
                del self.pipes[descriptor]
                os.close(descriptor)
                return True
            self.heard_bytes += len(data)
            if heard and heard[-1][0] == stream:
                data = heard.pop()[1] + data
            heard.append((stream, data))
        return False

    def end(self, status: int) -> None:
        """Its child has ended, and all that it printed was heard."""
        duration_s = time.monotonic() - self.child.began
        for stream, data in self.child.heard:
            self.entry.spool.hold(stream, data)
        self.ending = judge(self.child.program, status, None, duration_s, self.entry.spool)


class Hurry:
    """How the loop calls the thread away from what it waits for."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if POSSIBLE else -1
        self.in_there = 0
        """How many jobs have not come back."""

    def __call__(self) -> None:
        """Come back soon, if you are there."""
        if self.in_there:
            os.eventfd_write(self._descriptor, 1)

    def wait(self, quicks: Sequence[Quick]) -> None:
        """Until all have ended, one prints much, `GATHER_S` are over, or somebody is in a hurry.

        For `_UNHEARD_S` standard output waits in its pipe until something else is heard: most commands have ended by
        then, and what they printed has woken nobody. No more does the end of standard error, see ``Latch``."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        owners: dict[int, Quick] = {}
        for quick in quicks:
            for descriptor in (*quick.pipes, quick.child.descriptor):
                if quick.pipes.get(descriptor) != STDOUT:
                    poll.register(descriptor, select.POLLIN)
                    owners[descriptor] = quick
        now = time.monotonic()
        give_up, until = now + GATHER_S, now + _UNHEARD_S
        left = len(quicks)
        while left and now < give_up:
            if now >= until:
                until = give_up
                for quick in quicks:
                    for descriptor in quick.pipes:
                        poll.register(descriptor, select.POLLIN)
                        owners[descriptor] = quick
            for descriptor, _ in poll.poll((until - now) * 1000 + 1):
                if descriptor == self._descriptor:
                    os.eventfd_read(descriptor)
                    return
                if descriptor not in owners:  # it came to its end with another one
                    continue
                quick = owners[descriptor]
                ended = descriptor == quick.child.descriptor
                if ended:
                    quick.child.let_pipes_end()
                over = quick.hear()
                if quick.heard_bytes > HELD_MAX_BYTES or (ended and quick.pipes):  # somebody else holds them open
                    return
                if ended:
                    over.append(descriptor)
                    quick.end(quick.child.reap())
                    left -= 1
                for one in over:
                    if owners.pop(one, None):
                        poll.unregister(one)
            now = time.monotonic()

    def close(self) -> None:
        """Nobody is there any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)


def see_through(
    tasks: Sequence[Task], quicks: Sequence[Quick], hurry: Hurry, receive: Receive, finish: Finish
) -> list[Row]:
    """Journal ``tasks`` with their children, let those go that are new and not called off, and see them through.

    The rows of what the journal knew already. Raises sqlite3.Error if it does not take them; then none was let go."""
    known = receive(tasks, {quick.entry.task_id: (quick.child.pid, quick.child.mark) for quick in quicks})
    ids = {row.task_id for row in known} if known else ()
    gone: list[Quick] = []
    for quick in quicks:
        if quick.entry.task_id not in ids and quick.entry.control.ending is None:
            quick.child.let_go()
            gone.append(quick)
    hurry.wait(gone)
    finals: list[tuple[TaskUpdate, Spool]] = []
    for quick in gone:
        if quick.ending:
            quick.final = update_of(quick.entry, quick.ending)
            finals.append((quick.final, quick.entry.spool))
    try:
        if finals:
            finish(finals)
    except (sqlite3.Error, OSError):  # the loop tries it again, and says so
        for quick in gone:
            quick.final = None
    return known
