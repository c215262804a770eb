"""Whose turn it is: at most `parallel` tasks run, what else was taken waits in its order, and each end is journalled.

Invariant: a task is started once in its life, in the order of its receipt, and never again once its end is reported.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from deployx_agent.logs import Log
from deployx_agent.tasks.child import Child
from deployx_agent.tasks.entry import Entry, clock, update_of
from deployx_agent.tasks.outbox import Outbox
from deployx_agent.tasks.runner import Ending
from deployx_agent.tasks.store import DiskError, Store
from deployx_agent.tasks.waiting import Waiting
from deployx_agent.tasks.work import Worker
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import TaskState

_EXPIRED = Ending(TaskState.EXPIRED)
_RETRY_S = 5.0


class Turns:
    """Starts and ends tasks in ``group``, which is set before anything happens."""

    def __init__(
        self, entries: dict[str, Entry], store: Store, outbox: Outbox, worker: Worker, parallel: int, log: Log
    ) -> None:
        self._entries = entries
        self._store = store
        self._outbox = outbox
        self._worker = worker
        self._parallel = parallel
        self._log = log
        self._waiting = Waiting(lambda late: self.end_unstarted(late, _EXPIRED))
        self._running: dict[str, object] = {}
        """Of each task that runs, who has it."""
        self._strays: dict[str, Entry] = {}
        self.group: asyncio.TaskGroup
        self.idle = asyncio.Event()
        """Set while nothing runs."""
        self.stopping = False
        """Nothing more is started."""

    @property
    def running(self) -> list[Entry]:
        """What runs, or is being ended."""
        return [self._strays.get(task_id) or self._entries[task_id] for task_id in self._running]

    def runs(self, entry: Entry) -> bool:
        """Whether it runs, or is being ended."""
        return entry.task_id in self._running

    @property
    def free(self) -> int:
        """How many that are taken now would have their turn at once."""
        return 0 if self.stopping or self._waiting else max(self._parallel - len(self._running), 0)

    # ------------------------------------------------------------ starting

    def add(self, entry: Entry, expires_in_s: float) -> None:
        """It waits for its turn, for so long at most. Whoever calls this calls ``start_more`` soon."""
        if len(self._waiting) >= self._parallel:
            entry.task = None  # it is read again when its turn has come
        self._waiting.add(entry, expires_in_s)

    def start_more(self) -> None:
        """Start what has its turn."""
        while len(self._running) < self._parallel and not self.stopping:
            entry = self._waiting.take()
            if entry is None:
                return
            self.start(entry)

    def start(self, entry: Entry, child: Child | None = None) -> None:
        """It is its turn now; with a ``child`` that is in the journal already, if there is one."""
        beside = self.running
        self._do([entry], self._work(entry, beside, child))

    def hold(self, entries: Sequence[Entry]) -> Callable[[], None]:
        """It is the turn of all of these, and somebody sees to them, until what this gives is called; those that they
        gave to others by then, such as to ``start``, go on."""
        whose = object()
        self._have(entries, whose)
        return partial(self._done, entries, whose)

    def see(self, entries: Sequence[Entry], work: Coroutine[Any, Any, None]) -> None:
        """The same, until ``work`` is done."""
        self._do(entries, work)

    async def _work(self, entry: Entry, beside: Sequence[Entry], child: Child | None) -> None:
        await self._see(entry, self._worker.do(entry, beside, self._on_started, child))

    async def _see(self, entry: Entry, work: Coroutine[Any, Any, Ending | None]) -> None:
        """Until it ends, or is left to the next process: then it stays what it is."""
        ending = await work
        if ending:
            await self._finish([entry], ending)

    def go_on(self, entry: Entry, work: Coroutine[Any, Any, Ending | None]) -> None:
        """Go on with what an earlier process has started, and this one may."""
        self._do([entry], self._see(entry, work))

    def tidy_up(self, entry: Entry, work: Coroutine[Any, Any, Ending | None]) -> None:
        """Do what an earlier process has left undone and nobody is told of. ``entry`` is none of the tasks."""

        async def alone() -> None:
            await work

        self._strays[entry.task_id] = entry
        self._do([entry], alone())

    def _on_started(self, entry: Entry, pgid: int, ago_s: float) -> None:
        entry.state, entry.since = TaskState.RUNNING, clock() - ago_s
        self._outbox.report(entry)
        self._log.info("Task started", task_id=entry.task_id, pgid=pgid)

    def _do(self, entries: Sequence[Entry], work: Coroutine[Any, Any, None]) -> None:
        task = self.group.create_task(work)
        self._have(entries, task)
        task.add_done_callback(lambda _: self._done(entries, task))

    def _have(self, entries: Sequence[Entry], whose: object) -> None:
        self.idle.clear()
        for entry in entries:
            self._running[entry.task_id] = whose

    def _done(self, entries: Sequence[Entry], whose: object) -> None:
        for entry in entries:
            if self._running.get(entry.task_id) is whose:  # else it was given on
                del self._running[entry.task_id]
            self._strays.pop(entry.task_id, None)
        self.start_more()
        self.look_idle()

    def rest(self) -> None:
        """Make ready for what may come, unless something runs, whose end somebody may wait for."""
        if not self._running and not self.stopping:
            self._worker.rest()

    def look_idle(self) -> None:
        """Say so if nothing runs."""
        if not self._running:
            self.idle.set()

    # ------------------------------------------------------------ ending

    def end(self, entry: Entry, ending: Ending) -> None:
        """End what never was a process, or whose processes have ended."""
        self._do([entry], self._finish([entry], ending))

    def end_later(self, entry: Entry, ending: Coroutine[Any, Any, Ending]) -> None:
        """The same, as soon as it is known how."""

        async def work() -> None:
            await self._finish([entry], await ending)

        self._do([entry], work())

    def end_unstarted(self, entries: Sequence[Entry], ending: Ending) -> None:
        """End those that have not started, all of them with one write to the journal."""
        unique = {entry.task_id: entry for entry in entries if not entry.over and not self.runs(entry)}
        for entry in unique.values():
            self._waiting.remove(entry)
        if unique:
            self._do([*unique.values()], self._finish([*unique.values()], ending))

    async def _finish(self, entries: Sequence[Entry], ending: Ending) -> None:
        """Journal their end, however long the disk takes to have room for it; then report it."""
        finals = [(update_of(entry, ending), entry.spool) for entry in entries]
        while True:
            try:
                await self._store.finished(finals)
                break
            except DiskError as error:
                task_id = entries[0].task_id
                self._log.error("The end of a task cannot be journalled; make room", task_id=task_id, error=error)
                await asyncio.sleep(_RETRY_S)
        for entry, (final, _) in zip(entries, finals, strict=True):
            self.over(entry, ending, final)

    def over(self, entry: Entry, ending: Ending, final: TaskUpdate | None = None, **said: Any) -> None:
        """Report an end that is in the journal as ``final``, or that no journal has room for."""
        entry.final, entry.state = final or update_of(entry, ending), ending.state
        entry.since, entry.task = clock(), None
        self._outbox.report(entry)
        self._log.info(
            "Task ended",
            task_id=entry.task_id,
            state=ending.state,
            code=ending.code or None,
            exit_code=ending.exit_code,
            signal=ending.signal,
            duration_s=ending.duration_s,
            **said,
        )
