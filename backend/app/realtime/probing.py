"""Finds out whether a connection at another node is alive, and tells other nodes of those that are here.

Invariant: whoever does not answer in time is as good as gone: its node is, or hangs.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from app.devices.probes import ProbeService, Question
from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.realtime.sessions import AgentSession, Sessions

LOOK_S = 1.0
"""How often a node looks for questions that no hint told it of."""
READ_S = 0.5
"""How often an answer is looked for that no hint tells of."""


class Probing:
    """Runs until cancelled. ``is_there`` asks a connection of this node, and takes ``probe_s`` at most."""

    def __init__(
        self,
        service: ProbeService,
        sessions: Sessions,
        is_there: Callable[[AgentSession], Awaitable[bool]],
        *,
        probe_s: float,
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._is_there = is_there
        self._patience_s = probe_s + 2 * LOOK_S
        self._asked = asyncio.Event()
        self._answered: dict[int, asyncio.Event] = {}
        self._answering: dict[str, asyncio.Task[None]] = {}

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note."""
        for hint in hints:
            if hint.kind is HintKind.PROBE and hint.device_id in self._sessions.by_device:
                self._asked.set()
            elif hint.kind is HintKind.PROBED and hint.device_id in self._answered:
                self._answered[hint.device_id].set()

    async def is_alive(self, device_id: int, epoch: int) -> bool:
        """Whether that session of a device, which is another node's, answers. Raises Unavailable."""
        answered = self._answered.setdefault(device_id, asyncio.Event())
        question = await self._service.ask(device_id, epoch)
        alive: bool | None = None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s):
                    while (alive := await self._service.answered(question)) is None:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(answered.wait(), READ_S)
                        answered.clear()
        finally:
            self._answered.pop(device_id, None)
            with contextlib.suppress(Unavailable):
                await self._service.take_back(question)
        return bool(alive)

    async def run(self) -> None:
        """Answer, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), LOOK_S)
            self._asked.clear()
            with contextlib.suppress(Unavailable):
                for question in await self._service.asked():
                    if question.id not in self._answering:
                        task = asyncio.create_task(self._answer(question))
                        self._answering[question.id] = task
                        task.add_done_callback(lambda _, id=question.id: self._answering.pop(id))  # type: ignore[misc]

    async def _answer(self, question: Question) -> None:
        session = self._sessions.by_device.get(question.device_id)
        there = session is not None and session.epoch == question.epoch and await self._is_there(session)
        with contextlib.suppress(Unavailable):
            await self._service.answer(question, alive=there)
