"""Hands tasks to the agents of this node: as soon as a hint says that some wait, and when their agents register.

Invariant: what is sent was claimed in the database before, for exactly the session that it is sent to. Whatever is
lost on the way (a hint, an event, this process) is found again: by the poll, by the time that a receipt takes, by the
next registration.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog

from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.realtime.sessions import AgentSession, Sessions
from app.realtime.supervision import every
from app.tasks import assignment
from app.tasks.delivery import Claimant, Delivery, DeliveryService
from deployx_protocol import events
from deployx_protocol.messages import Message
from deployx_protocol.task_messages import TaskCancel

log = structlog.get_logger()

DEVICES_MAX = 500
"""For how many devices one transaction claims."""
CANCELS_MAX = 500
POLL_S = 5.0
RECEIPT_S = 15.0
"""How long an agent may take to say that it has a task, or that it ended one, before it is told again."""
RECEIPT_MAX_S = 120.0
"""Each time that it is told in vain it gets twice as long, up to this: it may be the server that is late."""
RETRY_S = 0.5
EXPECTED_S = 0.5
"""So long after tasks were sent their agents are expected to speak of them: most of them do at once."""

Emit = Callable[[AgentSession, str, Message], Awaitable[None]]


class Dispatcher:
    """Delivery to the sessions of this node. ``sent`` is told how many tasks went out."""

    def __init__(
        self,
        delivery: DeliveryService,
        sessions: Sessions,
        emit: Emit,
        sent: Callable[[int], None] = lambda _: None,
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self._delivery = delivery
        self._sessions = sessions
        self._emit = emit
        self._sent = sent
        self._poll_s = poll_s
        self._ready: set[AgentSession] = set()
        self._due: dict[int, bool] = {}
        """Device id → whether it may not have heard of what is in flight."""
        self._ending: set[int] = set()
        self._called_off: dict[str, float] = {}
        """Task id → when its agent was last told that it is called off."""
        self._unheard: dict[int, dict[str, float]] = {}
        """Device id → task id → when it was sent, for those without a receipt."""
        self._sent_at = -math.inf
        """When any was."""
        self._patience_s: dict[int, float] = {}
        """Device id → how long its next receipt may take, for those that were told in vain."""
        self._work = asyncio.Event()
        self._look = asyncio.Event()

    def registered(self, session: AgentSession) -> None:
        """The agent knows that it is registered: it is sent what waits, and again what it may not have heard."""
        self._ready.add(session)
        self._want(session.device_id, again=True)

    def gone(self, session: AgentSession) -> None:
        """The connection is closed."""
        self._ready.discard(session)
        if self._session(session.device_id) is None:
            self._unheard.pop(session.device_id, None)
            self._patience_s.pop(session.device_id, None)

    def heard(self, device_id: int, task_ids: Collection[str]) -> None:
        """The agent has spoken of these tasks, so it has them."""
        self._patience_s.pop(device_id, None)
        waiting = self._unheard.get(device_id)
        if waiting is not None:
            for task_id in task_ids:
                waiting.pop(task_id, None)
            if not waiting:
                del self._unheard[device_id]

    @property
    def expects(self) -> bool:
        """Whether agents are about to speak of what they were just sent."""
        return bool(self._unheard) and time.monotonic() < self._sent_at + EXPECTED_S

    @property
    def handing_out(self) -> bool:
        """Whether there is more to hand out than what is being claimed now."""
        return bool(self._due)

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note of what concerns the agents connected here."""
        for hint in hints:
            match hint.kind:
                case HintKind.TASKS_WAITING if self._session(hint.device_id):
                    self._want(hint.device_id)
                case HintKind.TASKS_FOUND if self._session(hint.device_id):
                    self._want(hint.device_id, again=True)
                case HintKind.TASKS_CANCELLED if self._session(hint.device_id):
                    self._ending.add(hint.device_id)
                    self._work.set()
                case HintKind.EVERYTHING:
                    self._look.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deliver_forever())
            group.create_task(self._poll_forever())
            group.create_task(every(RECEIPT_S / 3, self._remind))

    def _want(self, device_id: int, *, again: bool = False) -> None:
        self._due[device_id] = again or self._due.get(device_id, False)
        self._work.set()

    def _session(self, device_id: int) -> AgentSession | None:
        session = self._sessions.by_device.get(device_id)
        return session if session in self._ready else None

    # ------------------------------------------------------------ tasks

    async def _deliver_forever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                while self._due or self._ending:
                    await self._deliver()
                    await self._end_hinted()
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                self._work.set()

    async def _deliver(self) -> None:
        taken = {device_id: self._due.pop(device_id) for device_id in list(self._due)[:DEVICES_MAX]}
        sessions = {device_id: self._session(device_id) for device_id in taken}
        claimants = [Claimant(id, session.epoch, taken[id]) for id, session in sessions.items() if session]
        if not claimants:
            return
        try:
            deliveries = await self._delivery.deliver_many(claimants)
        except BaseException:
            for device_id in taken:  # it may be committed, and only the answer is lost: then nothing is queued any more
                self._want(device_id, again=True)
            raise
        for delivery in deliveries:
            await self._send(delivery)
        if deliveries:
            tasks = [task for delivery in deliveries for task in delivery.tasks]
            cancelled = sum(len(delivery.ended) for delivery in deliveries)
            known = sum(task.known for task in tasks)
            log.info("tasks.sent", devices=len(deliveries), tasks=len(tasks), again=known, cancelled=cancelled)

    async def _send(self, delivery: Delivery) -> None:
        session = self._session(delivery.device_id)
        if session is None or session.epoch != delivery.epoch:
            return  # its next registration is sent all of this again
        if delivery.left:
            self._want(delivery.device_id)
        for batch in assignment.batches(delivery.tasks):
            await self._emit(session, events.TASK_ASSIGNED, batch)
        new = [task.task_id for task in delivery.tasks if not task.known]
        if new:
            self._sent_at = time.monotonic()
            self._unheard.setdefault(delivery.device_id, {}).update(dict.fromkeys(new, self._sent_at))
        await self._emit_cancel(session, delivery.ended.cancelled, delivery.ended.withdrawn)
        self._sent(len(delivery.tasks))
        log.debug("agent.tasks_sent", agent_id=session.agent_id, tasks=len(delivery.tasks))

    # ------------------------------------------------------------ their end

    async def _end_hinted(self) -> None:
        ending = set(list(self._ending)[:CANCELS_MAX])
        if ending:
            await self._end(ending)
            self._ending -= ending

    async def _end(self, device_ids: Collection[int], *, since: float = math.inf) -> None:
        """Tell these devices what was called off, but for what they were told ``since`` then."""
        for device_id, ended in (await self._delivery.cancelled_many(device_ids)).items():
            session = self._session(device_id)
            if session:
                cancelled, withdrawn = self._untold(ended.cancelled, since), self._untold(ended.withdrawn, since)
                await self._emit_cancel(session, cancelled, withdrawn)

    def _untold(self, task_ids: Sequence[str], since: float) -> list[str]:
        return [task_id for task_id in task_ids if self._called_off.get(task_id, -math.inf) < since]

    async def _emit_cancel(self, session: AgentSession, cancelled: Sequence[str], withdrawn: Sequence[str]) -> None:
        """End ``cancelled``, and of ``withdrawn`` what has not started."""
        now = time.monotonic()
        self._called_off |= dict.fromkeys([*cancelled, *withdrawn], now)
        for start in range(0, max(len(cancelled), len(withdrawn)), CANCELS_MAX):
            some = slice(start, start + CANCELS_MAX)
            message = TaskCancel(task_ids=list(cancelled[some]), unstarted=list(withdrawn[some]))
            await self._emit(session, events.TASK_CANCEL, message)

    # ------------------------------------------------------------ nets

    async def _poll_forever(self) -> None:
        """Look at the rows once in a poll interval, and when hints may have been lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._poll_s)
            self._look.clear()
            with contextlib.suppress(Unavailable):
                await self._poll()

    async def _poll(self) -> None:
        for device_id in await self._delivery.waiting_here():
            if self._session(device_id):
                self._want(device_id)
        await self._end(await self._delivery.ending_here(0.0), since=time.monotonic() - RECEIPT_S)

    async def _remind(self) -> None:
        now = time.monotonic()
        self._called_off = {task_id: at for task_id, at in self._called_off.items() if at > now - RECEIPT_S}
        for device_id, waiting in list(self._unheard.items()):
            patience_s = self._patience_s.get(device_id, RECEIPT_S)
            if min(waiting.values()) > now - patience_s:
                continue
            del self._unheard[device_id]
            self._patience_s[device_id] = min(2 * patience_s, RECEIPT_MAX_S)
            self._want(device_id, again=True)
