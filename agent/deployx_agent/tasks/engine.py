"""The tasks of this agent, between its session with the server, its operator, and its disk.

One loop takes what happens in the order it happens: `orders` follows what the server says, `turns` has tasks started
and ended, `outbox` reports them. Invariants: what is reported is in the journal first; what an earlier process accepted
starts only after the server has assigned it again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from deployx_agent.logs import Log
from deployx_agent.policy.guard import Guard
from deployx_agent.releases.surroundings import Surroundings
from deployx_agent.tasks import processes, recovery, steps
from deployx_agent.tasks.entry import Entry, clock
from deployx_agent.tasks.journal import Stage
from deployx_agent.tasks.orders import Orders
from deployx_agent.tasks.outbox import Connection, Outbox
from deployx_agent.tasks.spool import NOTHING
from deployx_agent.tasks.store import DiskError, Store
from deployx_agent.tasks.turns import Turns
from deployx_agent.tasks.work import Worker
from deployx_protocol import events
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.releases import Phase
from deployx_protocol.tasks import TaskCode, TaskState

STOP_PATIENCE_S = 30.0
"""How long tasks may go on after the agent was asked to stop."""
END_PATIENCE_S = 20.0
"""How long the end of those that did not is waited for: TERM, KILL, the journal."""
REPORT_PATIENCE_S = 3.0
"""How long a stopping agent waits for the server to acknowledge what it reported."""
EVENTS = frozenset({events.TASK_ASSIGNED, events.TASK_CANCEL, events.TASK_ACKNOWLEDGED})
INBOX_MAX = 1_000
_CLOSE_AFTER_S = 0.5
"""What is settled is closed so much later, together: nobody waits for it, and it costs a write. Then, if nothing runs,
one makes ready for what may come: who asks for much does not wait for that."""
_LEFT_TO_THE_NEXT = (Phase.REBOOTING, Phase.CONFIRMING)
"""What a release is at when it is not waited for: the next agent goes on with it."""
_PRUNE_EVERY_S = 86_400.0


class Engine:
    """The tasks of this agent, remembered in ``folder``. Raises ConfigError when the journal cannot be opened.

    ``guard`` is asked before a task is taken and again before it starts. ``watch_only``: each task is refused, also one
    that an earlier process accepted.
    """

    def __init__(
        self,
        folder: Path,
        parallel: int,
        log: Log,
        *,
        guard: Guard | None = None,
        watch_only: bool = False,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._log = log
        self.store = Store(folder, parallel, log)
        self._entries: dict[str, Entry] = {}
        self._outbox = Outbox(self._entries, self._on_settled, log)
        self._orders = Orders(self._entries, self.store, self._outbox, guard, log, watch_only=watch_only)
        self._worker = Worker(
            *(self.store, lambda: self._orders.connection, self._outbox.has_output, self._orders.guarded, log),
            *(self._outbox.told_phase, surroundings),
        )
        self.turns = Turns(self._entries, self.store, self._outbox, self._worker, parallel, log)
        self._orders.given_to(self._worker, self.turns)
        self._inbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._idle = False
        """Whether what happens next need not wait for what happened before, if nothing is in the inbox."""
        self._settled: list[Entry] = []
        self._serving: asyncio.Task[None] | None = None
        self._handlers = {
            events.TASK_ASSIGNED: self._orders.assigned,
            events.TASK_CANCEL: self._orders.cancelled,
            events.TASK_ACKNOWLEDGED: self._orders.acknowledged,
        }
        self.on_link: Callable[[Connection | None], None] = lambda _: None
        """Told of each connection that others may use beside the tasks, and of its end."""
        self.on_release: Callable[[], None] = lambda: None
        """Told when a release is over, which may have changed what is installed."""
        self._offline = asyncio.Event()
        self._hurry = asyncio.Event()

    # ------------------------------------------------------------ from the session

    def connected(self, connection: Connection) -> None:
        """The agent is registered."""
        self._inbox.put_nowait(partial(self._use, connection))
        self.on_link(connection)

    def disconnected(self) -> None:
        """The connection is gone."""
        self._inbox.put_nowait(partial(self._use, None))
        self.on_link(None)

    def deliver(self, event: str, payload: Any) -> None:
        """One of `EVENTS` has come. It is seen to at once, if it can be and its turn has come."""
        happen = partial(self._handlers[event], payload)
        if self._idle and self._inbox.empty():
            if rest := steps.begin(self._see_to(happen)):
                self._inbox.put_nowait(lambda: rest)
        elif self._inbox.qsize() < INBOX_MAX:
            self._inbox.put_nowait(happen)
        else:  # the server repeats what is not answered
            self._log.warning("The server speaks about tasks faster than the disk takes them", dropped=event)

    # ------------------------------------------------------------ from the agent

    async def end_strays(self) -> None:
        """End what an earlier agent started and the journal has lost; before the server hears that it did, and says
        `lost`, upon which somebody may start it anew."""
        strays = await self.store.strays()
        for pgid, task_id in strays.items():
            self._log.warning(
                "A task that is not in the journal runs; it is ended", task_id=task_id or "unknown", pgid=pgid
            )
        await asyncio.gather(*(processes.end(pgid) for pgid in strays))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as self.turns.group:
            left = self._worker.left_over
            for entry, row in await self.store.load():
                self._entries[entry.task_id] = entry
                if row.stage is not Stage.STARTED:
                    continue
                if left and left.task_id == entry.task_id:
                    self.turns.go_on(entry, self._worker.go_on(entry, row))
                    left = None
                else:
                    self.turns.end_later(entry, recovery.end_left_over(row, self.store.owner))
            if left and not left.is_over:
                stray = Entry(left.task_id, NOTHING, TaskState.RUNNING, clock())
                self.turns.tidy_up(stray, self._worker.go_on(stray, None))
            self.turns.group.create_task(self._prune())
            self.turns.look_idle()
            while True:
                self._idle = True
                try:
                    happen = await self._inbox.get()
                finally:
                    self._idle = False
                await self._see_to(happen)

    def hurry(self) -> None:
        """Asked to stop again: do not wait for what runs."""
        self._hurry.set()

    async def stop(self) -> None:
        """Start nothing more, wait `STOP_PATIENCE_S` for what runs, end the rest, give the server a moment to hear."""
        self.turns.stopping = True
        for entry in self.turns.running:
            if entry.phase in _LEFT_TO_THE_NEXT:
                _interrupt(entry)
        if running := self.turns.running:
            self._log.info("Waiting for tasks to end", running=len(running), at_most_s=STOP_PATIENCE_S)
            await _first(STOP_PATIENCE_S, self.turns.idle, self._hurry)
        for entry in self.turns.running:
            _interrupt(entry)
        await _first(END_PATIENCE_S, self.turns.idle)
        if self._orders.connection:
            await _first(REPORT_PATIENCE_S, self._outbox.emptied, self._offline)
        self._close_settled()

    async def drained(self) -> None:
        """Start nothing more; returns when nothing runs and every result is in the journal."""
        self.turns.stopping = True
        if running := self.turns.running:
            self._log.info("The agent stays until its tasks have ended", running=len(running))
        await self.turns.idle.wait()

    def close(self) -> None:
        """Let go of everything; nothing happens any more."""
        self._worker.close()
        self.store.close()

    # ------------------------------------------------------------ what happens

    async def _see_to(self, happen: Callable[[], Awaitable[None]]) -> None:
        try:
            await happen()
        except InvalidPayload as error:
            self._log.warning("The server sent something that the protocol does not allow", error=error)
        except DiskError as error:
            self._log.error("The journal of tasks cannot be written; make room on its disk", error=error)
        except Exception as error:
            self._log.bug("A bug in handling tasks; please report it", error)

    async def _use(self, connection: Connection | None) -> None:
        if self._serving:
            self._serving.cancel()
        self._orders.connection = connection
        self._offline.clear() if connection else self._offline.set()
        self._serving = self.turns.group.create_task(self._outbox.serve(connection)) if connection else None

    def _on_settled(self, entry: Entry) -> None:
        if entry.final and entry.final.outcome:
            self.on_release()
        self._settled.append(entry)
        if len(self._settled) == 1:
            asyncio.get_running_loop().call_later(_CLOSE_AFTER_S, self._close_settled)

    def _close_settled(self) -> None:
        settled, self._settled = [entry for entry in self._settled if entry.settled], []
        for entry in settled:
            self._entries.pop(entry.task_id, None)
        self.turns.rest()
        if settled:  # last, for two threads that want the interpreter at the same time cost more
            self.store.close_later(settled)

    async def _prune(self) -> None:
        while True:
            try:
                await self.store.prune()
            except DiskError as error:
                self._log.warning("Old ids could not be removed from the journal", error=error)
            await asyncio.sleep(_PRUNE_EVERY_S)


def _interrupt(entry: Entry) -> None:
    entry.control.end(TaskState.INTERRUPTED, TaskCode.AGENT_STOPPED, "The agent was stopped while it ran.")


async def _first(timeout_s: float, *signs: asyncio.Event) -> None:
    """Wait until one of ``signs`` is set, or no longer."""
    waiting = [asyncio.ensure_future(sign.wait()) for sign in signs]
    await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waiting:
        wait.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
