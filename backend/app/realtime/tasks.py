"""The part of the agents' gateway that is about tasks: what agents say of them, and what they are told.

Invariants: an agent speaks for the device of its own connection, never for one that a payload names; it hears
`task_acknowledged` after the commit and only then, so that what is lost before is said again.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import structlog

from app.complaints import Complaints
from app.errors import NotFound, Unavailable
from app.realtime.dispatcher import POLL_S, Dispatcher, Emit
from app.realtime.inbox import Inbox
from app.realtime.sessions import AgentSession, Sessions
from app.realtime.supervision import every, supervised
from app.tasks.delivery import DeliveryService
from app.tasks.reaper import ReaperService
from app.tasks.reports import Printed, Reported, ReportService, Saved
from app.web.metrics import Metrics
from deployx_protocol import events
from deployx_protocol.checks import decode
from deployx_protocol.frames import Frame
from deployx_protocol.task_messages import OutputSaved, TaskAcknowledged, TaskOutput, TaskUpdates, UpdateSaved
from deployx_protocol.tasks import FINAL, TaskState

log = structlog.get_logger()

REAP_S = 3.0
MEASURE_S = 15.0
POST_S = 20.0
"""How long a request with output waits for its commit."""
UNFINISHED = sorted(frozenset(TaskState) - FINAL)
ACKNOWLEDGE_AFTER_S = 0.02
"""So long after its commit an acknowledgement leaves at the earliest."""
ACKNOWLEDGE_LOOKS = 10
"""After so many times as long it leaves, whoever is expected to answer."""
ACKNOWLEDGED_MAX = 150
"""How many entries of a kind one acknowledgement has at most: far below the size of a message."""


class TaskGateway:
    """Runs until cancelled; ``registered`` and ``disconnected`` are told by the gateway that it is part of."""

    def __init__(
        self,
        emit: Emit,
        sessions: Sessions,
        delivery: DeliveryService,
        reports: ReportService,
        reaper: ReaperService,
        metrics: Metrics,
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self._emit = emit
        self._delivery = delivery
        self._reaper = reaper
        self._metrics = metrics
        self._dispatcher = Dispatcher(delivery, sessions, emit, metrics.tasks_sent.inc, poll_s=poll_s)
        self._acknowledging = asyncio.Event()
        self._inbox = Inbox(
            reports.save_many,
            self._count,
            self._committed,
            lambda: self._dispatcher.expects,
            lambda: self._dispatcher.handing_out,
        )
        self._reported: Counter[TaskState] = Counter()
        self._printed_bytes = 0
        self._saved: dict[AgentSession, list[Saved]] = {}
        self._complaints = Complaints("task.refused")
        self.hinted = self._dispatcher.hinted
        self.registered = self._dispatcher.registered
        self.disconnected = self._dispatcher.gone

    async def run(self) -> None:
        """Deliver and save, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised("tasks.inbox", self._inbox.run))
            group.create_task(supervised("tasks.acknowledgements", self._acknowledge))
            group.create_task(supervised("tasks.dispatcher", self._dispatcher.run))
            group.create_task(supervised("tasks.measure", partial(every, MEASURE_S, self._measure, at_once=True)))

    async def reap(self) -> None:
        """End what is past its deadline, until cancelled. One server at a time does this for all of them."""
        await supervised("tasks.reaper", partial(every, REAP_S, self._reap, at_once=True))

    # ------------------------------------------------------------ what agents say

    async def updates(self, session: AgentSession, payload: Any) -> bool:
        """`task_updates`; False if there is no room for it now. Raises InvalidPayload."""
        updates = decode(payload, TaskUpdates).updates
        self._dispatcher.heard(session.device_id, [update.task_id for update in updates])
        return self._take(session, Reported(session.device_id, updates))

    async def output(self, session: AgentSession, payload: Any) -> bool:
        """`task_output`; False if there is no room for it now. Raises InvalidPayload."""
        message = decode(payload, TaskOutput)
        frames = [Frame(chunk.seq, chunk.stream, chunk.data) for chunk in message.chunks]
        return self._take(session, Printed(session.device_id, message.task_id, frames))

    async def post(self, device_id: int, task_id: str, frames: Sequence[Frame], source_ip: str) -> int:
        """Output that came over HTTP: the seq that is wanted next, once it is committed.

        Raises NotFound for a task that the device does not have, Unavailable when it cannot be saved now.
        """
        answered: asyncio.Future[Saved | None] = asyncio.get_running_loop().create_future()

        def answer(saved: Saved | None) -> None:
            if not answered.done():
                answered.set_result(saved)

        if not self._inbox.take(Printed(device_id, task_id, frames), answered, answer):
            self._metrics.task_intake_full.inc()
            raise Unavailable("The server has too much output to save. Send it again in a moment.", retry_after_s=2)
        try:
            async with asyncio.timeout(POST_S):
                saved = await answered
        except TimeoutError:
            raise Unavailable("The database does not answer. Send it again in a moment.", retry_after_s=5) from None
        if saved is None:
            raise Unavailable("The server failed to save this; it was logged.", retry_after_s=30)
        self._complain(saved, device_id, source_ip)
        if saved.unknown:
            raise NotFound("This device has no such task.")
        return saved.output[0].next_seq

    def _take(self, session: AgentSession, item: Reported | Printed) -> bool:
        if self._inbox.take(item, session, partial(self._answered, session)):
            return True
        self._metrics.task_intake_full.inc()
        return False

    def _answered(self, session: AgentSession, saved: Saved | None) -> None:
        if saved is None:
            return
        self._complain(saved, session.device_id, session.source_ip)
        self._saved.setdefault(session, []).append(saved)

    def _count(self, item: Reported | Printed, saved: Saved) -> None:
        """Told to the metrics once for each batch: that costs as much as one report does."""
        for update in saved.updates:
            self._reported[update.state] += 1
        if not saved.unknown:
            if isinstance(item, Printed):
                self._printed_bytes += sum(len(frame.data) for frame in item.frames)
            else:
                self._printed_bytes += sum(len(chunk.data) for update in item.updates for chunk in update.output)

    def _committed(self) -> None:
        self._acknowledging.set()
        for state, count in self._reported.items():
            self._metrics.task_reports.labels(state.value).inc(count)
        self._reported.clear()
        if self._printed_bytes:
            self._metrics.task_output_bytes.inc(self._printed_bytes)
            self._printed_bytes = 0

    def _complain(self, saved: Saved, device_id: int, source_ip: str) -> None:
        for task_id in saved.foreign:
            self._complaints.note(source_ip, f"device {device_id} spoke of {task_id}, which is another device's")

    # ------------------------------------------------------------ what they are told

    async def _acknowledge(self) -> None:
        """Tell each agent what was committed, while the next batch is on its way."""
        while True:
            await self._acknowledging.wait()
            await self._give_way()
            self._acknowledging.clear()
            saved, self._saved = self._saved, {}
            for session, answers in saved.items():
                await self._tell(session, answers)

    async def _give_way(self) -> None:
        """An agent needs the word to tidy up, and nobody waits for that: let the rest of a fleet answer first, and let
        those be told who wait for the answers."""
        for _ in range(ACKNOWLEDGE_LOOKS):
            await asyncio.sleep(ACKNOWLEDGE_AFTER_S)
            if not self._dispatcher.expects:
                return

    async def _tell(self, session: AgentSession, answers: Sequence[Saved]) -> None:
        updates = [update for one in answers for update in one.updates]
        output = {entry.task_id: entry for one in answers for entry in one.output}
        unknown = sorted({task_id for one in answers for task_id in one.unknown})
        for message in _pieces(updates, list(output.values()), unknown):
            await self._emit(session, events.TASK_ACKNOWLEDGED, message)

    # ------------------------------------------------------------ once in a while

    async def _reap(self) -> None:
        for state, count in (await self._reaper.reap()).items():
            self._metrics.tasks_reaped.labels(state).inc(count)

    async def _measure(self) -> None:
        counts = await self._delivery.unfinished()
        for state in UNFINISHED:
            self._metrics.tasks.labels(state.value).set(counts.get(state.value, 0))


def _pieces(
    updates: Sequence[UpdateSaved], output: Sequence[OutputSaved], unknown: Sequence[str]
) -> list[TaskAcknowledged]:
    longest = max(len(updates), len(output), len(unknown))
    return [
        TaskAcknowledged(
            updates=list(updates[start : start + ACKNOWLEDGED_MAX]),
            output=list(output[start : start + ACKNOWLEDGED_MAX]),
            unknown=list(unknown[start : start + ACKNOWLEDGED_MAX]),
        )
        for start in range(0, longest, ACKNOWLEDGED_MAX)
    ]
