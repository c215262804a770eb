"""What the server says about tasks: here is one, call it off, I have your word.

Invariants: what is taken is in the journal before anybody hears of it, so that a repeat is answered and never run; what
is not for this machine, too late, or against its policy is refused, and that is remembered as well.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from deployx_agent.logs import Log
from deployx_agent.policy.guard import Guard
from deployx_agent.tasks import steps
from deployx_agent.tasks.child import Child
from deployx_agent.tasks.entry import Entry, clock, update_of
from deployx_agent.tasks.journal import Row
from deployx_agent.tasks.outbox import Connection, Outbox
from deployx_agent.tasks.quick import Quick
from deployx_agent.tasks.runner import Ending
from deployx_agent.tasks.spool import NOTHING
from deployx_agent.tasks.store import DiskError, Store
from deployx_agent.tasks.turns import Turns
from deployx_agent.tasks.work import Worker
from deployx_protocol import checks
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.releases import Outcome
from deployx_protocol.task_messages import Task, TaskAcknowledged, TaskCancel
from deployx_protocol.tasks import TaskCode, TaskState

ENTRIES_MAX = 10_000
"""How many tasks are in memory, each with a few hundred bytes; beyond that none is taken, and the server repeats it."""
_CANCELLED = Ending(TaskState.CANCELLED)
_WITHDRAWN = Ending(TaskState.CANCELLED, TaskCode.WITHDRAWN)
_ONLY_WATCHED = Ending(
    TaskState.FAILED,
    TaskCode.WATCH_ONLY,
    "The agent of this machine only watches and runs nothing; its owner has to start it without --watch-only.",
)


class Orders:
    """Follows them, one after the other. ``guard`` is asked before a task is taken and again before it starts."""

    def __init__(
        self,
        entries: dict[str, Entry],
        store: Store,
        outbox: Outbox,
        guard: Guard | None,
        log: Log,
        *,
        watch_only: bool,
    ) -> None:
        self._entries = entries
        self._store = store
        self._outbox = outbox
        self._guard = guard
        self._log = log
        self._watch_only = watch_only
        self._worker: Worker
        self._turns: Turns
        self.connection: Connection | None = None

    def given_to(self, worker: Worker, turns: Turns) -> None:
        """Who carries them out."""
        self._worker, self._turns = worker, turns

    # ------------------------------------------------------------ assigned

    async def assigned(self, payload: Any) -> None:
        """Take each task that is new, and answer every other."""
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
            if await self._may_be_new(task):
                fresh.setdefault(task.task_id, task)
        if fresh:
            await self._take(fresh)
        self._turns.start_more()

    def _has(self, raw: Any) -> bool:
        return isinstance(raw, dict) and raw.get("task_id") in self._entries

    async def _unreadable(self, raw: Any, why: str) -> None:
        self._log.warning("The server assigned something that the protocol does not allow", error=why)
        task_id = raw.get("task_id") if isinstance(raw, dict) else None
        if checks.is_uuid(task_id) and await self._known(task_id) is None:
            await self._refuse(task_id, Ending(TaskState.FAILED, TaskCode.START_FAILED, why))

    async def _known(self, task_id: str) -> Entry | None:
        """The entry of a task, also of one that was closed long ago: then it is owed a report once more."""
        entry = self._entries.get(task_id) or await self._store.find(task_id)
        if entry:
            self._entries[task_id] = entry
        return entry

    async def _may_be_new(self, task: Task) -> bool:
        """Whether the journal is to take it, if it does not have it; whatever else it is, it is answered here."""
        entry = self._entries.get(task.task_id)
        refusal = None if entry else self._refusal(task) or await self.guarded(task)
        if refusal:
            if task.release and refusal.state is TaskState.FAILED:
                refusal = replace(refusal, outcome=Outcome.UNTOUCHED)
            entry = await self._known(task.task_id)
        if entry:
            self._again(entry, task)
        elif refusal:
            await self._refuse(task.task_id, refusal)
        return entry is None and refusal is None

    def _refusal(self, task: Task) -> Ending | None:
        if self.connection is None or task.agent_id != self.connection.agent_id:
            message = f"The task is for {task.agent_id!r}, not for this agent."
            return Ending(TaskState.FAILED, TaskCode.WRONG_DEVICE, message)
        if task.known:
            message = "The agent's journal does not have this task, which it had accepted; it is not run again."
            return Ending(TaskState.LOST, TaskCode.NOT_IN_JOURNAL, message)
        if self._watch_only:
            return _ONLY_WATCHED
        return Ending(TaskState.EXPIRED) if task.expires_in_s <= 0 else None

    async def guarded(self, task: Task) -> Ending | None:
        """How ``task`` ends if the policy of this machine does not let it run."""
        refusal = await self._guard.refusal(task, self._store) if self._guard else None
        return Ending(TaskState.FAILED, refusal.code, refusal.message) if refusal else None

    def _again(self, entry: Entry, task: Task) -> None:
        """A repeat: answered with what is known, and the word that a task of an earlier process waits for."""
        entry.unknown = False
        if entry.state is TaskState.ACCEPTED and not entry.confirmed and not self._turns.runs(entry):
            if self._watch_only:
                self._turns.end(entry, _ONLY_WATCHED)
                return
            entry.confirmed = True
            self._turns.add(entry, task.expires_in_s)
        self._outbox.report(entry)

    async def _take(self, tasks: dict[str, Task]) -> None:
        """Journal what is new, and start at once what has its turn: its child is journalled in the same step."""
        entries = {id: Entry(id, NOTHING, TaskState.ACCEPTED, clock(), task) for id, task in tasks.items()}
        begun = self._begin([*entries.values()])
        if len(begun) == len(tasks) and all(child.quick for child in begun.values()):
            self._see(tasks, entries, begun)
            return
        try:
            groups = {task_id: (child.pid, child.mark) for task_id, child in begun.items()}
            known = {entry.task_id: entry for entry in await self._store.received([*tasks.values()], groups)}
        except DiskError as error:
            self._entries |= entries
            await self._turn_away(entries.values(), begun.values(), error)
            return
        self._entries |= entries | known
        for task_id, task in tasks.items():
            child = begun.pop(task_id, None) if task_id not in known else None
            if task_id in known:
                self._again(known[task_id], task)
            elif child:
                self._turns.start(entries[task_id], child)
            else:
                self._turns.add(entries[task_id], task.expires_in_s)
                self._outbox.report(entries[task_id])
        if begun:
            await self._abandon(begun.values())

    def _see(self, tasks: dict[str, Task], entries: dict[str, Entry], begun: dict[str, Child]) -> None:
        """Have them taken and seen through as far as they end at once; they have their turn."""
        quicks = [Quick(entries[task_id], child) for task_id, child in begun.items()]
        for entry in entries.values():
            entry.taken, entry.control.hurry = False, self._store.hurry
        self._entries |= entries
        over = self._turns.hold([*entries.values()])

        def seen(rows: "list[Row]", error: "Exception | None") -> None:
            with self._outbox.together:
                try:
                    step = self._seen(tasks, quicks, rows, error)
                    if rest := step if error else steps.begin(step):
                        self._turns.see([*entries.values()], rest)
                finally:
                    over()

        self._store.see_through([*tasks.values()], quicks, seen)

    async def _seen(
        self, tasks: dict[str, Task], quicks: Sequence[Quick], rows: Sequence[Row], error: Exception | None
    ) -> None:
        for quick in quicks:
            quick.entry.taken = True
        if isinstance(error, DiskError):
            await self._turn_away([one.entry for one in quicks], [one.child for one in quicks], error)
            return
        if error:
            raise error
        known = {row.task_id: self._store.restored(row) for row in rows}
        self._entries |= known
        for quick in quicks:
            entry = quick.entry
            if entry.task_id in known:
                self._again(known[entry.task_id], tasks[entry.task_id])
                await quick.child.finish()
            elif quick.ending and quick.final:
                self._turns.over(entry, quick.ending, quick.final, pgid=quick.child.pid)
            elif quick.ending:
                self._turns.end(entry, quick.ending)
            else:
                self._turns.start(entry, quick.child)

    async def _turn_away(self, entries: Iterable[Entry], children: Iterable[Child], error: Exception) -> None:
        self._log.error("Tasks are refused: the journal cannot be written; make room on its disk", error=error)
        message = f"The agent's journal cannot be written ({error}); make room on its disk."
        for entry in entries:
            self._turns.over(entry, Ending(TaskState.FAILED, TaskCode.DISK_FULL, message))
        await self._abandon(children)

    def _begin(self, entries: Sequence[Entry]) -> dict[str, Child]:
        """The children of those, the first ones, that can start at once."""
        begun: dict[str, Child] = {}
        beside = self._turns.running
        for entry in entries[: self._turns.free]:
            child = self._worker.begin(entry, beside)
            if child is None:  # what comes after it must not overtake it
                break
            begun[entry.task_id] = child
            beside.append(entry)
        return begun

    async def _abandon(self, children: Iterable[Child]) -> None:
        """They end, and have done nothing."""
        await asyncio.gather(*(child.finish() for child in children))

    async def _refuse(self, task_id: str, ending: Ending) -> None:
        entry = Entry(task_id, NOTHING, ending.state, clock())
        await self._store.refused(update_of(entry, ending))
        self._entries[task_id] = entry
        self._turns.over(entry, ending)

    # ------------------------------------------------------------ called off, acknowledged

    async def cancelled(self, payload: Any) -> None:
        """Call these off; what was never heard of is refused from now on."""
        message = checks.decode(payload, TaskCancel)
        self._call_off(await self._heard_of(message.task_ids, _CANCELLED))
        self._withdraw(await self._heard_of(message.unstarted, _WITHDRAWN))

    async def _heard_of(self, task_ids: Iterable[str], ending: Ending) -> list[Entry]:
        """Those that are known; the others end so."""
        known: list[Entry] = []
        for task_id in filter(checks.is_uuid, task_ids):
            entry = await self._known(task_id)
            if entry:
                known.append(entry)
            elif len(self._entries) < ENTRIES_MAX:
                await self._refuse(task_id, ending)
        return known

    def _call_off(self, entries: Sequence[Entry]) -> None:
        """Call off what is not over. In one step: while it is decided, nothing starts."""
        for entry in entries:
            if entry.over:
                self._outbox.report(entry)
            elif self._turns.runs(entry):
                entry.control.end(TaskState.CANCELLED)
        self._turns.end_unstarted(entries, _CANCELLED)

    def _withdraw(self, entries: Sequence[Entry]) -> None:
        """End what has not started, in one step; of all else say what it is. A release that waits for another one to
        end has its turn, and has not started."""
        for entry in entries:
            waits = self._turns.runs(entry) and entry.state is TaskState.ACCEPTED
            if waits and entry.task and entry.task.release:
                entry.control.end(TaskState.CANCELLED, TaskCode.WITHDRAWN)
            elif entry.over or self._turns.runs(entry):
                self._outbox.report(entry)
        self._turns.end_unstarted(entries, _WITHDRAWN)

    async def acknowledged(self, payload: Any) -> None:
        """The server has these; what it does not have any more need not start."""
        message = checks.decode(payload, TaskAcknowledged)
        self._outbox.acknowledged(message)
        unknown = [self._entries[task_id] for task_id in message.unknown if task_id in self._entries]
        self._turns.end_unstarted(unknown, _CANCELLED)
