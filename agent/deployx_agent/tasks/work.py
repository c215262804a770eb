"""What one task needs from its turn to its end: its script, room on the disk, a start that is journalled."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from deployx_agent.connection.transport import RequestError
from deployx_agent.logs import Log
from deployx_agent.releases.surroundings import Surroundings
from deployx_agent.tasks import child as children
from deployx_agent.tasks import command, recovery, runner, scripts
from deployx_agent.tasks.child import Child
from deployx_agent.tasks.command import CannotStart, Command
from deployx_agent.tasks.entry import Entry, clock
from deployx_agent.tasks.journal import Row
from deployx_agent.tasks.outbox import Connection
from deployx_agent.tasks.runner import Ending
from deployx_agent.tasks.spare import Spare
from deployx_agent.tasks.store import DiskError, Store
from deployx_protocol.task_messages import Script, Task
from deployx_protocol.tasks import TaskCode, TaskState

if TYPE_CHECKING:  # few agents have a release under way, and their memory is counted
    from deployx_agent.releases.handling import LeftOver, Releases

DISK_RESERVE_BYTES = 16 * 1024 * 1024
"""A task wants this much room on the disk beside the output that it and others may still write."""
_RETRY_S = 1.0
_BUG = "A bug of the agent ended the task; its log has the details."
_SCRIPT_TRIES = 3
_NEVER = (403, 404, 410)


class Worker:
    """Does tasks, one call each. ``on_output`` is told, in the loop, when there is more in a spool.

    ``guarded`` says how a task ends if it may not start now, whatever held when it was taken.
    """

    def __init__(
        self,
        store: Store,
        connection: Callable[[], Connection | None],
        on_output: Callable[[Entry], None],
        guarded: Callable[[Task], Awaitable[Ending | None]],
        log: Log,
        on_phase: Callable[[Entry], None],
        surroundings: Surroundings | None,
    ) -> None:
        self._on_phase = on_phase
        self._surroundings = surroundings
        self._handling: Releases | None = None
        self._store = store
        self._connection = connection
        self._on_output = on_output
        self._guarded = guarded
        self._log = log
        self._spare = Spare(store.owner)

    def begin(self, entry: Entry, beside: Iterable[Entry]) -> Child | None:
        """A child for a task that is being taken, while ``beside`` run: to journal it with the task saves a sync.

        None for a script or a release, which are fetched first, and for what cannot start: those are taken, and then
        done in full."""
        task = entry.task
        if task is None or task.script or task.release:
            return None
        try:
            user = command.user_of(task) if task.run_as else None
            return self._child(entry, command.prepare(task, None, user, self._store.owner), beside)
        except (CannotStart, DiskError):
            return None

    async def do(
        self,
        entry: Entry,
        beside: Iterable[Entry],
        on_started: Callable[[Entry, int, float], None],
        child: Child | None = None,
    ) -> Ending | None:
        """Do it, while ``beside`` run too, with a ``child`` that is in the journal or one to be made; how it ended,
        None if the next process goes on with it.

        ``on_started`` is given the process group, and how long ago that was. It never raises: whatever happens, a task
        has an end."""
        try:
            made = child or await self._start(entry, beside)
            if isinstance(made, Ending):
                return made
            if isinstance(made, Task):
                return await self._releases.do(entry, made, partial(on_started, entry, 0, 0.0))
            if made.quick:
                self._listen(entry, made)
            timeout_s = entry.task.timeout_s if entry.task else 0.0
            ago_s = time.monotonic() - made.began if made.ran else 0.0
            say_so = partial(on_started, entry, made.pid, ago_s)
            return await runner.see_through(made, timeout_s, entry.spool, entry.control, say_so)
        except CannotStart as why:
            return Ending(TaskState.FAILED, why.code, str(why))
        except DiskError as error:
            return Ending(TaskState.FAILED, TaskCode.DISK_FULL, f"The agent's disk cannot be read ({error}).")
        except Exception as error:
            self._log.bug("A bug ended a task; please report it", error, task_id=entry.task_id)
            state = TaskState.INTERRUPTED if entry.state is TaskState.RUNNING else TaskState.FAILED
            return Ending(state, TaskCode.START_FAILED, _BUG)
        finally:
            if entry.task is None or entry.task.script:
                await self._store.in_thread(scripts.remove, self._store.folder, entry.task_id)

    def rest(self) -> None:
        """Nothing runs: make ready for what may come."""
        self._spare.make()

    def close(self) -> None:
        """Nothing will come."""
        self._spare.discard()

    @property
    def left_over(self) -> "LeftOver | None":
        """The release that an earlier process has begun, if there ever was one."""
        there_was = self._surroundings and self._surroundings.has_history
        return self._releases.left_over() if there_was else None

    async def go_on(self, entry: Entry, row: Row | None) -> Ending | None:
        """End what is left of the programs of a release, if its task is in the journal, and go on with it."""
        try:
            if row:
                await recovery.end_left_over(row, self._store.owner)
            task = await self._store.task(entry.task_id) if row else None
            return await self._releases.go_on(entry, task)
        except Exception as error:
            self._log.bug("A bug ended a release; please report it", error, task_id=entry.task_id)
            return Ending(TaskState.INTERRUPTED, TaskCode.START_FAILED, _BUG)

    @property
    def _releases(self) -> "Releases":
        if self._handling is None:
            from deployx_agent.releases.handling import Releases

            if self._surroundings is None:
                raise CannotStart(TaskCode.RELEASE_UNFIT, "This agent takes no releases.")
            self._handling = Releases(
                self._surroundings, self._store, self._connection, self._on_output, self._on_phase, self._log
            )
        return self._handling

    async def _start(self, entry: Entry, beside: Iterable[Entry]) -> Child | Ending | Task:
        """A child that is in the journal, or how the task ends without one; the task itself if it has a release. Raises
        CannotStart, DiskError."""
        task = entry.task = entry.task or await self._store.task(entry.task_id)
        if refusal := await self._guarded(task):
            return refusal
        if task.release:
            return task
        user, path = command.user_of(task), None
        if task.script:
            body = await self._fetch(entry, task.script)
            if isinstance(body, Ending):
                return body
            path = scripts.place(self._store.folder, entry.task_id, task.script, body, user)
        prepared = command.prepare(task, path, user, self._store.owner)
        if entry.control.ending:
            return entry.control.ending
        child, journalled = self._child(entry, prepared, beside), False
        try:
            await self._store.started(entry.task_id, child.pid, child.mark)
            journalled = True
        except DiskError as error:
            raise _no_room(f"The agent's journal cannot be written ({error}); make room on its disk.") from None
        finally:
            if not journalled:
                await child.finish()
        return child

    def _child(self, entry: Entry, prepared: Command, beside: Iterable[Entry]) -> Child:
        if entry.task:
            entry.spool = self._store.spool(entry.task, fresh=True)
        self._check_room([entry, *beside])
        child = self._spare.take(prepared) or children.start(prepared)
        if not child.quick:
            self._listen(entry, child)
        return child

    def _listen(self, entry: Entry, child: Child) -> None:
        loop = asyncio.get_running_loop()

        def on_output() -> None:
            loop.call_soon_threadsafe(self._on_output, entry)

        child.listen(entry.spool, on_output, self._store.threads)

    def _check_room(self, entries: Iterable[Entry]) -> None:
        wanted, free = DISK_RESERVE_BYTES, self._store.free_bytes()
        for entry in entries:
            wanted += max(entry.task.output_quota_bytes - entry.spool.size, 0) if entry.task else 0
        if free < wanted:
            raise _no_room(
                f"The agent's disk has {free >> 20} MiB left, and the output of what runs may take {wanted >> 20} MiB; "
                "make room there, or lower the output's quota."
            )

    async def _fetch(self, entry: Entry, script: Script) -> bytes | Ending:
        """The script's bytes, or how the task ends without them."""
        path, tries = scripts.path_to_fetch(script), 0
        kept = await self._store.in_thread(self._store.scripts.get, script)
        if kept is not None:
            return kept
        while entry.control.ending is None:
            if clock() >= entry.start_by:
                return Ending(TaskState.EXPIRED)
            why = "there is no connection"
            connection = self._connection()
            if connection:
                try:
                    answer = await connection.link.request("GET", path, connection.http_token)
                    if answer.status == 200 and scripts.is_whole(script, answer.body):
                        await self._store.in_thread(self._store.scripts.put, answer.body)
                        return answer.body
                    why = "its hash is wrong" if answer.status == 200 else f"the server answered {answer.status}"
                    tries += 1 if answer.status == 200 else _SCRIPT_TRIES if answer.status in _NEVER else 0
                except RequestError as error:
                    why = str(error)
            if tries >= _SCRIPT_TRIES:
                raise CannotStart(TaskCode.SCRIPT_UNAVAILABLE, f"The script cannot be fetched: {why}.")
            self._log.warning("The script could not be fetched; it is tried again", task_id=entry.task_id, error=why)
            await entry.control.wait(_RETRY_S)
        return entry.control.ending


def _no_room(message: str) -> CannotStart:
    return CannotStart(TaskCode.DISK_FULL, message)
