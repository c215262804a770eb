"""The journal and the spools of this agent, used from its loop without holding it up.

The journal has a thread of its own, in which what is asked for happens in that order; what takes long (a sync of much
output) happens in others.
"""

import asyncio
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from deployx_agent.exits import ConfigError
from deployx_agent.logs import Log
from deployx_agent.tasks import quick, recovery
from deployx_agent.tasks.entry import Entry
from deployx_agent.tasks.journal import Group, Journal, Row
from deployx_agent.tasks.one_thread import Call, OneThread
from deployx_agent.tasks.quick import Hurry, Quick
from deployx_agent.tasks.script_cache import ScriptCache
from deployx_agent.tasks.spool import INLINE_MAX_BYTES, Spool
from deployx_protocol.task_messages import Task, TaskUpdate

T = TypeVar("T")


class DiskError(Exception):
    """The disk did not take it; the message says why."""


class Store:
    """What is remembered in ``folder``. Raises ConfigError when the journal cannot be opened."""

    def __init__(self, folder: Path, parallel: int, log: Log) -> None:
        self._log = log
        self.folder = folder
        self.owner = str(folder.absolute())
        """By what the processes of this agent's tasks know whose they are."""
        self.scripts = ScriptCache(folder)
        try:
            self._journal = Journal(folder, log)
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"The journal of tasks in {folder} cannot be opened ({why}). Make room for it.") from None
        self.threads = ThreadPoolExecutor(2 * parallel + 1, "output")
        """For what a task does beside the loop (its output, its end where no descriptor tells of it), and one more."""
        self._disk = OneThread("journal")
        self.hurry = Hurry()
        """Calls the journal's thread away from tasks that it sees through."""

    @property
    def journal_id(self) -> str:
        """32 hexadecimal digits; another one means that this agent knows nothing of what went before."""
        return self._journal.journal_id

    @property
    def remembers_since(self) -> float:
        """When this memory of tasks began, in seconds since 1970."""
        return self._journal.remembers_since

    @property
    def high_water(self) -> int:
        """How many tasks the journal has ever taken."""
        return self._journal.high_water

    async def load(self) -> list[tuple[Entry, Row]]:
        """What is not closed, oldest first."""
        return await self._in_order(recovery.load, self._journal, self.folder)

    async def strays(self) -> dict[int, str]:
        """What runs for this agent and is not in its journal: process group → task id."""
        return await self._in_order(recovery.strays, self._journal, self.owner)

    async def find(self, task_id: str) -> Entry | None:
        """What is known of a task that may be closed."""
        row = await self._in_order(self._journal.find, task_id)
        return recovery.restore(self.folder, row) if row else None

    def spool(self, task: Task, *, fresh: bool = False) -> Spool:
        """The spool of a task that may start, or go on if it is not a ``fresh`` one."""
        path = f"{self.owner}{os.sep}{recovery.spool_name(task.task_id)}"
        return Spool(path, task.output_quota_bytes, fresh=fresh)

    async def task(self, task_id: str) -> Task:
        """What was received under this id. Raises DiskError."""
        raw = await self._in_order(self._journal.task, task_id)
        if raw is None:
            raise DiskError("it has lost the task")
        return msgspec.json.decode(raw, type=Task)

    async def take_number(self, number: str, task_id: str, expires_at: float) -> bool:
        """Whether the number of something signed is this task's, now and for good. Raises DiskError."""
        return await self._in_order(self._journal.take_number, number, task_id, expires_at)

    async def received(self, tasks: Sequence[Task], started: Mapping[str, Group]) -> list[Entry]:
        """Remember the new ones among ``tasks``, with the groups of those that start at once; what is known of the
        others, which may be closed. Durable when it returns, like all that follows. Raises DiskError."""
        return [self.restored(row) for row in await self._in_order(self._receive, tasks, started)]

    def restored(self, row: Row) -> Entry:
        """The entry of a task that was remembered."""
        return recovery.restore(self.folder, row)

    def see_through(
        self, tasks: Sequence[Task], quicks: Sequence[Quick], done: Callable[[list[Row], Exception | None], None]
    ) -> None:
        """Remember the new ones among ``tasks``, of which all start at once, and see those through that end at once.

        ``done`` is called in the loop when those are over and remembered as such, with what is known of the tasks that
        are not new; or with an error, a DiskError if the disk did not take them, and then none was let go."""

        def settle(rows: "list[Row]", error: "Exception | None") -> None:
            self.hurry.in_there -= 1
            done(rows, error)

        def job() -> Call:
            try:
                rows = quick.see_through(tasks, quicks, self.hurry, self._receive, self._finish)
                return partial(settle, rows, None)
            except (OSError, sqlite3.Error) as why:
                return partial(settle, [], _disk_error(why))
            except Exception as bug:
                return partial(settle, [], bug)

        self.hurry()
        self.hurry.in_there += 1
        self._disk.do(job)

    def _receive(self, tasks: Sequence[Task], started: Mapping[str, Group]) -> list[Row]:
        if len(tasks) == 1:  # mostly it is new, and a row of its own is all that has to be looked for
            try:
                self._journal.received([(tasks[0].task_id, msgspec.json.encode(tasks[0]))], started)
                return []
            except sqlite3.IntegrityError:
                pass
        known: list[Row] = []
        new: list[tuple[str, bytes]] = []
        for task in tasks:
            if row := self._journal.find(task.task_id):
                known.append(row)
            else:
                new.append((task.task_id, msgspec.json.encode(task)))
        if new:
            self._journal.received(new, started)
        return known

    async def refused(self, final: TaskUpdate) -> None:
        """A task that is over without having been received. Raises DiskError."""
        await self._in_order(self._journal.refused, final.task_id, msgspec.json.encode(final))

    async def started(self, task_id: str, pgid: int, mark: str) -> None:
        """Its group may be let go. Raises DiskError."""
        await self._in_order(self._journal.started, task_id, pgid, mark)

    async def finished(self, finals: Sequence[tuple[TaskUpdate, Spool]]) -> None:
        """Their results may be reported, and all output they name is on the disk. Raises DiskError."""
        for _, spool in finals:
            if spool.size > INLINE_MAX_BYTES:  # its sync takes long, and the journal's thread is for all
                await self.in_thread(spool.seal)
        await self._in_order(self._finish, finals)

    def _finish(self, finals: Sequence[tuple[TaskUpdate, Spool]]) -> None:
        ends = []
        for final, spool in finals:
            output = spool.seal() if spool.size <= INLINE_MAX_BYTES else None
            ends.append((final.task_id, msgspec.json.encode(final), output))
        self._journal.finished(ends)

    def close_later(self, entries: Sequence[Entry]) -> None:
        """The server has everything of these; they are forgotten when the journal has time for it."""
        asyncio.get_running_loop().run_in_executor(self._disk, self._close, entries)

    def _close(self, entries: Sequence[Entry]) -> None:
        try:
            self._journal.closed([entry.task_id for entry in entries])
        except sqlite3.Error as error:
            self._log.error("The journal of tasks cannot be written; make room on its disk", error=error)
            return
        for entry in entries:
            entry.spool.remove()

    async def prune(self) -> None:
        """Forget the ids of long ago, and scripts that nobody uses. Raises DiskError."""
        await self.in_thread(self.scripts.prune)
        await self._in_order(self._journal.prune)

    def free_bytes(self) -> int:
        """Room on the disk. Raises DiskError."""
        try:
            if sys.platform == "win32":
                return shutil.disk_usage(self.owner).free
            found = os.statvfs(self.owner)
            return found.f_bavail * found.f_frsize
        except OSError as error:
            raise DiskError(error.strerror or str(error)) from error

    def close(self) -> None:
        """Let go of the journal, after what is under way."""
        self.hurry()
        self._disk.shutdown()
        self.threads.shutdown(wait=False)
        self._journal.close()
        self.hurry.close()

    async def in_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """Do something slow. Raises DiskError."""
        return await _run(self.threads, act, *arguments)

    async def _in_order(self, act: Callable[..., T], *arguments: Any) -> T:
        self.hurry()
        return await _run(self._disk, act, *arguments)


async def _run(threads: Executor, act: Callable[..., T], *arguments: Any) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, act, *arguments)
    except (OSError, sqlite3.Error) as error:
        raise _disk_error(error) from error


def _disk_error(error: OSError | sqlite3.Error) -> DiskError:
    return DiskError(getattr(error, "strerror", None) or str(error))
