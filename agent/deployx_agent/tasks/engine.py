"""Decides what runs when: takes tasks from the server, journals them, starts them in order, ends them.

One loop takes what happens in the order it happens; each task that runs has a task of its own. Invariants: what is
reported is in the journal first; a task is started once in its life, in the order of its receipt, while at most
`parallel` run; what an earlier process accepted starts only after the server has assigned it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deployx_agent.logs import Log
from deployx_agent.policy.guard import Guard
from deployx_agent.tasks import processes, recovery
from deployx_agent.tasks.entry import Entry, clock, update_of
from deployx_agent.tasks.journal import Row, Stage
from deployx_agent.tasks.outbox import Connection, Outbox
from deployx_agent.tasks.runner import Ending
from deployx_agent.tasks.spool import NOTHING
from deployx_agent.tasks.store import DiskError, Store
from deployx_agent.tasks.waiting import Waiting
from deployx_agent.tasks.work import Worker
from deployx_protocol import checks, events
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.task_messages import Task, TaskAcknowledged, TaskCancel
from deployx_protocol.tasks import TaskCode, TaskState

STOP_PATIENCE_S = 30.0
"""How long tasks may go on after the agent was asked to stop."""
END_PATIENCE_S = 20.0
"""How long the end of those that did not is waited for: TERM, KILL, the journal."""
REPORT_PATIENCE_S = 3.0
"""How long a stopping agent waits for the server to acknowledge what it reported."""
EVENTS = frozenset({events.TASK_ASSIGNED, events.TASK_CANCEL, events.TASK_ACKNOWLEDGED})
INBOX_MAX = 1_000
ENTRIES_MAX = 10_000
"""How many tasks are in memory, each with a few hundred bytes; beyond that none is taken, and the server repeats it."""
_RETRY_S = 5.0
_PRUNE_EVERY_S = 86_400.0
_ONLY_WATCHED = Ending(
    TaskState.FAILED,
    TaskCode.WATCH_ONLY,
    "The agent of this machine only watches and runs nothing; its owner has to start it without --watch-only.",
)


class Engine:
    """The tasks of this agent, remembered in ``folder``. Raises ConfigError when the journal cannot be opened.

    ``guard`` is asked before a task is taken and again before it starts. ``watch_only``: each task is refused, also one
    that an earlier process accepted.
    """

    def __init__(
        self, folder: Path, parallel: int, log: Log, *, guard: Guard | None = None, watch_only: bool = False
    ) -> None:
        self._parallel = parallel
        self._guard = guard
        self._watch_only = watch_only
        self._log = log
        self.store = Store(folder, parallel, log)
        self._entries: dict[str, Entry] = {}
        self._outbox = Outbox(self._entries, self._on_settled, log)
        self._worker = Worker(
            self.store, lambda: self._connection, self._on_started, self._outbox.has_output, self._guarded, log
        )
        self._inbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._waiting = Waiting(self._expire)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._settled: list[Entry] = []
        self._group: asyncio.TaskGroup
        self._connection: Connection | None = None
        self._serving: asyncio.Task[None] | None = None
        self._handlers = {
            events.TASK_ASSIGNED: self._on_assigned,
            events.TASK_CANCEL: self._on_cancel,
            events.TASK_ACKNOWLEDGED: self._on_acknowledged,
        }
        self._idle = asyncio.Event()
        self._offline = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False

    # ------------------------------------------------------------ from the session

    def connected(self, connection: Connection) -> None:
        """The agent is registered."""
        self._inbox.put_nowait(partial(self._use, connection))

    def disconnected(self) -> None:
        """The connection is gone."""
        self._inbox.put_nowait(partial(self._use, None))

    def deliver(self, event: str, payload: Any) -> None:
        """One of `EVENTS` has come."""
        if self._inbox.qsize() >= INBOX_MAX:  # the server repeats what is not answered
            self._log.warning("The server speaks about tasks faster than the disk takes them", dropped=event)
            return
        self._inbox.put_nowait(partial(self._handlers[event], payload))

    # ------------------------------------------------------------ from the agent

    async def end_strays(self) -> None:
        """End what an earlier agent started and the journal has lost; before the server hears that it did, and says
        `lost`, upon which somebody may start it anew."""
        strays = await self.store.strays()
        for task_id in strays.values():
            self._log.warning("A task that is not in the journal runs; it is ended", task_id=task_id)
        await asyncio.gather(*(processes.end(pgid) for pgid in strays))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for entry, row in await self.store.load():
                self._entries[entry.task_id] = entry
                if row.stage is Stage.STARTED:
                    self._start(entry, self._recover(entry, row))
            self._group.create_task(self._prune())
            self._look_idle()
            while True:
                happen = await self._inbox.get()
                try:
                    await happen()
                except InvalidPayload as error:
                    self._log.warning("The server sent something that the protocol does not allow", error=error)
                except DiskError as error:
                    self._log.error("The journal of tasks cannot be written; make room on its disk", error=error)
                except Exception as error:
                    self._log.bug("A bug in handling tasks; please report it", error)

    def hurry(self) -> None:
        """Asked to stop again: do not wait for what runs."""
        self._hurry.set()

    async def stop(self) -> None:
        """Start nothing more, wait `STOP_PATIENCE_S` for what runs, end the rest, give the server a moment to hear."""
        self._stopping = True
        if self._running:
            self._log.info("Waiting for tasks to end", running=len(self._running), at_most_s=STOP_PATIENCE_S)
            await _first(STOP_PATIENCE_S, self._idle, self._hurry)
        for task_id in self._running:
            message = "The agent was stopped while it ran."
            self._entries[task_id].control.end(TaskState.INTERRUPTED, TaskCode.AGENT_STOPPED, message)
        await _first(END_PATIENCE_S, self._idle)
        if self._connection:
            await _first(REPORT_PATIENCE_S, self._outbox.emptied, self._offline)

    async def drained(self) -> None:
        """Start nothing more; returns when nothing runs and every result is in the journal."""
        self._stopping = True
        if self._running:
            self._log.info("The agent stays until its tasks have ended", running=len(self._running))
        await self._idle.wait()

    # ------------------------------------------------------------ what happens

    async def _use(self, connection: Connection | None) -> None:
        if self._serving:
            self._serving.cancel()
        self._connection = connection
        self._offline.clear() if connection else self._offline.set()
        self._serving = self._group.create_task(self._outbox.serve(connection)) if connection else None

    async def _on_assigned(self, payload: Any) -> None:
        tasks = payload.get("tasks") if isinstance(payload, dict) else None
        fresh: dict[str, Task] = {}
        for raw in tasks if isinstance(tasks, list) else []:
            if len(self._entries) + len(fresh) >= ENTRIES_MAX and not self._has(raw):
                self._log.warning("More tasks wait than are taken; this one is left to be repeated", most=ENTRIES_MAX)
                continue
            try:
                task = checks.decode(raw, Task)
            except InvalidPayload as error:
                await self._unreadable(raw, str(error))
                continue
            if await self._is_new(task):
                fresh.setdefault(task.task_id, task)
        if fresh:
            await self._receive(list(fresh.values()))
        self._start_more()

    def _has(self, raw: Any) -> bool:
        return isinstance(raw, dict) and raw.get("task_id") in self._entries

    async def _unreadable(self, raw: Any, why: str) -> None:
        self._log.warning("The server assigned something that the protocol does not allow", error=why)
        task_id = raw.get("task_id") if isinstance(raw, dict) else None
        if checks.is_uuid(task_id) and await self._known(task_id) is None:
            await self._refuse(task_id, Ending(TaskState.FAILED, TaskCode.START_FAILED, why))

    async def _known(self, task_id: str) -> Entry | None:
        """The entry of a task, also of one that was closed long ago: then it is owed a report once more."""
        entry = self._entries.get(task_id) or await self.store.find(task_id)
        if entry:
            self._entries[task_id] = entry
        return entry

    async def _is_new(self, task: Task) -> bool:
        """Whether the task is to be journalled and run; whatever else it is, it is answered here."""
        entry = await self._known(task.task_id)
        if entry:
            self._again(entry, task)
            return False
        refusal = self._refusal(task) or await self._guarded(task)
        if refusal:
            await self._refuse(task.task_id, refusal)
        return refusal is None

    def _refusal(self, task: Task) -> Ending | None:
        if self._connection is None or task.agent_id != self._connection.agent_id:
            message = f"The task is for {task.agent_id!r}, not for this agent."
            return Ending(TaskState.FAILED, TaskCode.WRONG_DEVICE, message)
        if task.known:
            message = "The agent's journal does not have this task, which it had accepted; it is not run again."
            return Ending(TaskState.LOST, TaskCode.NOT_IN_JOURNAL, message)
        if self._watch_only:
            return _ONLY_WATCHED
        return Ending(TaskState.EXPIRED) if task.expires_in_s <= 0 else None

    async def _guarded(self, task: Task) -> Ending | None:
        """How ``task`` ends if the policy of this machine does not let it run."""
        refusal = await self._guard.refusal(task, self.store) if self._guard else None
        return Ending(TaskState.FAILED, refusal.code, refusal.message) if refusal else None

    def _again(self, entry: Entry, task: Task) -> None:
        """A repeat: answered with what is known, and the word that a task of an earlier process waits for."""
        entry.unknown = False
        if entry.state is TaskState.ACCEPTED and not entry.confirmed and entry.task_id not in self._running:
            if self._watch_only:
                self._start(entry, self._finish(entry, _ONLY_WATCHED))
                return
            entry.confirmed = True
            self._waiting.add(entry, task.expires_in_s)
        self._outbox.report(entry)

    async def _receive(self, tasks: list[Task]) -> None:
        entries = [Entry(task.task_id, NOTHING, TaskState.ACCEPTED, clock()) for task in tasks]
        self._entries |= {entry.task_id: entry for entry in entries}
        try:
            await self.store.received(tasks)
        except DiskError as error:
            self._log.error("Tasks are refused: the journal cannot be written; make room on its disk", error=error)
            message = f"The agent's journal cannot be written ({error}); make room on its disk."
            for entry in entries:
                self._over(entry, Ending(TaskState.FAILED, TaskCode.DISK_FULL, message))
            return
        for entry, task in zip(entries, tasks, strict=True):
            if len(self._waiting) < self._parallel:
                entry.task = task
            self._waiting.add(entry, task.expires_in_s)
            self._outbox.report(entry)

    async def _refuse(self, task_id: str, ending: Ending) -> None:
        entry = Entry(task_id, NOTHING, ending.state, clock())
        await self.store.refused(update_of(entry, ending))
        self._entries[task_id] = entry
        self._over(entry, ending)

    async def _on_cancel(self, payload: Any) -> None:
        known: list[Entry] = []
        for task_id in filter(checks.is_uuid, checks.decode(payload, TaskCancel).task_ids):
            entry = await self._known(task_id)
            if entry:
                known.append(entry)
            elif len(self._entries) < ENTRIES_MAX:
                await self._refuse(task_id, Ending(TaskState.CANCELLED))
        self._cancel(known)

    def _cancel(self, entries: Sequence[Entry]) -> None:
        """Call off what is not over. In one step: while it is decided, nothing starts."""
        for entry in entries:
            if entry.over:
                self._outbox.report(entry)
            elif entry.task_id in self._running:
                entry.control.end(TaskState.CANCELLED)
        waiting = [entry for entry in entries if not entry.over and entry.task_id not in self._running]
        self._end_unstarted(waiting, TaskState.CANCELLED)

    async def _on_acknowledged(self, payload: Any) -> None:
        message = checks.decode(payload, TaskAcknowledged)
        self._outbox.acknowledged(message)
        unknown = [self._entries[task_id] for task_id in message.unknown if task_id in self._entries]
        unstarted = [entry for entry in unknown if not entry.over and entry.task_id not in self._running]
        self._end_unstarted(unstarted, TaskState.CANCELLED)

    def _end_unstarted(self, entries: Sequence[Entry], state: TaskState) -> None:
        """End what was not started, all of it with one write to the journal."""
        unique = {entry.task_id: entry for entry in entries}
        for entry in unique.values():
            self._waiting.remove(entry)
        if unique:
            self._start_all([*unique.values()], self._finish_all([*unique.values()], Ending(state)))

    def _expire(self, late: list[Entry]) -> None:
        self._end_unstarted(late, TaskState.EXPIRED)

    def _on_settled(self, entry: Entry) -> None:
        self._settled.append(entry)
        if len(self._settled) == 1:
            self._inbox.put_nowait(self._close_settled)

    async def _close_settled(self) -> None:
        settled, self._settled = [entry for entry in self._settled if entry.settled], []
        if settled:
            await self.store.closed([entry.task_id for entry in settled])
        for entry in settled:
            entry.spool.remove()
            self._entries.pop(entry.task_id, None)

    # ------------------------------------------------------------ running

    def _start_more(self) -> None:
        while len(self._running) < self._parallel and not self._stopping:
            entry = self._waiting.take()
            if entry is None:
                return
            self._start(entry, self._work(entry))

    def _start(self, entry: Entry, work: Coroutine[Any, Any, None]) -> None:
        self._start_all([entry], work)

    def _start_all(self, entries: Sequence[Entry], work: Coroutine[Any, Any, None]) -> None:
        self._idle.clear()
        task = self._group.create_task(work)
        self._running |= dict.fromkeys((entry.task_id for entry in entries), task)
        task.add_done_callback(lambda _: self._ended(entries))

    def _ended(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._running.pop(entry.task_id, None)
        self._start_more()
        self._look_idle()

    def _look_idle(self) -> None:
        if not self._running:
            self._idle.set()

    async def _work(self, entry: Entry) -> None:
        beside = [self._entries[task_id] for task_id in self._running if task_id != entry.task_id]
        await self._finish(entry, await self._worker.do(entry, beside))

    def _on_started(self, entry: Entry, pgid: int) -> None:
        entry.state, entry.since = TaskState.RUNNING, clock()
        self._outbox.report(entry)
        self._log.info("Task started", task_id=entry.task_id, pgid=pgid)

    async def _recover(self, entry: Entry, row: Row) -> None:
        await self._finish(entry, await recovery.end_left_over(row))

    async def _finish(self, entry: Entry, ending: Ending) -> None:
        await self._finish_all([entry], ending)

    async def _finish_all(self, entries: Sequence[Entry], ending: Ending) -> None:
        """Journal their end, however long the disk takes to have room for it; then report it."""
        finals = [(update_of(entry, ending), entry.spool) for entry in entries]
        while True:
            try:
                await self.store.finished(finals)
                break
            except DiskError as error:
                task_id = entries[0].task_id
                self._log.error("The end of a task cannot be journalled; make room", task_id=task_id, error=error)
                await asyncio.sleep(_RETRY_S)
        for entry in entries:
            self._over(entry, ending)

    def _over(self, entry: Entry, ending: Ending) -> None:
        entry.final, entry.state, entry.since, entry.task = update_of(entry, ending), ending.state, clock(), None
        self._outbox.report(entry)
        self._log.info(
            "Task ended",
            task_id=entry.task_id,
            state=ending.state,
            code=ending.code or None,
            exit_code=ending.exit_code,
            signal=ending.signal,
            duration_s=ending.duration_s,
        )

    async def _prune(self) -> None:
        while True:
            try:
                await self.store.prune()
            except DiskError as error:
                self._log.warning("Old ids could not be removed from the journal", error=error)
            await asyncio.sleep(_PRUNE_EVERY_S)


async def _first(timeout_s: float, *signs: asyncio.Event) -> None:
    """Wait until one of ``signs`` is set, or no longer."""
    waiting = [asyncio.ensure_future(sign.wait()) for sign in signs]
    await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
