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
from contextlib import suppress

from deployx_agent.tasks.child import Child
from deployx_agent.tasks.entry import Entry, update_of
from deployx_agent.tasks.journal import Row
from deployx_agent.tasks.pipes import GATHER_S
from deployx_agent.tasks.runner import Ending, judge
from deployx_agent.tasks.spool import HELD_MAX_BYTES
from deployx_protocol.limits import CHUNK_MAX_BYTES
from deployx_protocol.task_messages import Task, TaskUpdate

POSSIBLE = hasattr(os, "pidfd_open") and hasattr(os, "eventfd")
Receive = Callable[[Sequence[Task], Mapping[str, Child]], list[Row]]
Finish = Callable[[Sequence[tuple[TaskUpdate, Entry]]], None]


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

    def read(self, descriptor: int) -> bool:
        """Hear what is in a pipe; whether there may be more."""
        data = os.read(descriptor, CHUNK_MAX_BYTES)
        if not data:
            del self.pipes[descriptor]
            os.close(descriptor)
            return False
        heard, stream = self.child.heard, self.pipes[descriptor]
        self.heard_bytes += len(data)
        if heard and heard[-1][0] == stream:
            data = heard.pop()[1] + data
        heard.append((stream, data))
        return True

    def end(self, status: int) -> None:
        """Its child has ended, and all that it printed was heard."""
        duration_s = time.monotonic() - self.child.began
        for stream, data in self.child.heard:
            self.entry.spool.hold(stream, data)
        self.ending = judge(status, None, duration_s, self.entry.spool)


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
        """Until all have ended, one prints much, `GATHER_S` are over, or somebody is in a hurry."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        owners: dict[int, Quick] = {}
        for quick in quicks:
            for descriptor in (quick.child.descriptor, *quick.pipes):
                poll.register(descriptor, select.POLLIN)
                owners[descriptor] = quick
        give_up = time.monotonic() + GATHER_S
        left = len(quicks)
        while left and (left_s := give_up - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left_s * 1000 + 1):
                if descriptor == self._descriptor:
                    return
                quick = owners[descriptor]
                if descriptor in quick.pipes:
                    if not quick.read(descriptor):
                        poll.unregister(descriptor)
                    if quick.heard_bytes > HELD_MAX_BYTES:
                        return
                elif descriptor == quick.child.descriptor:
                    for pipe in _ended(quick):
                        poll.unregister(pipe)
                    if quick.pipes or quick.heard_bytes > HELD_MAX_BYTES:  # somebody else holds them open
                        return
                    poll.unregister(descriptor)
                    quick.end(quick.child.reap())
                    left -= 1

    def forget(self) -> None:
        """What was said so far is done."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Nobody is there any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _ended(quick: Quick) -> list[int]:
    """Read what the child, which has ended, left in its pipes; those that have come to their end."""
    ends = []
    for descriptor in list(quick.pipes):
        while quick.heard_bytes <= HELD_MAX_BYTES and _at_hand(descriptor):
            if not quick.read(descriptor):
                ends.append(descriptor)
                break
    return ends


def _at_hand(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def see_through(
    tasks: Sequence[Task], quicks: Sequence[Quick], hurry: Hurry, receive: Receive, finish: Finish
) -> list[Row]:
    """Journal ``tasks`` with their children, let those go that are new and not called off, and see them through.

    The rows of what the journal knew already. Raises sqlite3.Error if it does not take them; then none was let go."""
    known = receive(tasks, {quick.entry.task_id: quick.child for quick in quicks})
    ids = {row.task_id for row in known}
    gone = [one for one in quicks if one.entry.task_id not in ids and one.entry.control.ending is None]
    for quick in gone:
        quick.child.let_go()
    hurry.wait(gone)
    hurry.forget()
    finals = [(update_of(one.entry, one.ending), one.entry) for one in gone if one.ending]
    if finals:
        with suppress(sqlite3.Error, OSError):  # the loop tries it again, and says so
            finish(finals)
            for quick in gone:
                quick.final = next((final for final, entry in finals if entry is quick.entry), None)
    return known
