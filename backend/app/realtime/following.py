"""Keeps the connections of this node in step with what is decided elsewhere: who was accepted, answered, removed, and
whose device has registered at another node.

Invariant: a hint only says where to look, and what is done follows from the rows. What no hint says is found by the
poll.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from app.devices.standing import Standing, StandingService
from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.realtime.notices import Notices
from app.realtime.sessions import AgentSession, Sessions
from deployx_protocol.codes import Code

AGAIN_S = 1.0
"""How long to wait when the database is away."""
_ABOUT = frozenset({HintKind.REGISTER_AGAIN, HintKind.CLAIM_ANSWERED, HintKind.DEVICE_REMOVED, HintKind.SESSION_MOVED})


class Following:
    """Runs until cancelled. ``moved`` is told of sessions whose device another node has."""

    def __init__(
        self,
        service: StandingService,
        sessions: Sessions,
        notices: Notices,
        moved: Callable[[AgentSession], None],
        *,
        poll_s: float,
    ) -> None:
        self._service = service
        self._sessions = sessions
        self._notices = notices
        self._moved = moved
        self._poll_s = poll_s
        self._named: set[int] = set()
        self._woken = asyncio.Event()

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note of what concerns the agents connected here."""
        for hint in hints:
            if hint.kind in _ABOUT and hint.device_id in self._sessions.by_device:
                self._named.add(hint.device_id)
                self._woken.set()
            elif hint.kind is HintKind.EVERYTHING or (hint.kind in _ABOUT and self._sessions.held_for(hint.device_id)):
                self._woken.set()

    async def run(self) -> None:
        """Follow, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._poll_s)
            self._woken.clear()
            try:
                await self._look()
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
                self._woken.set()

    async def _look(self) -> None:
        named = set(self._named)
        if named:
            asked = {id: self._sessions.by_device.get(id) for id in named}
            standings = await self._service.of(named)
            for device_id, session in asked.items():
                if session:
                    self._compare(session, standings.get(device_id))
            self._named -= named
        await self._compare_trust()
        held = self._sessions.held()
        if held:
            unanswered = await self._service.open_claims({session.claim_id for session in held})
            for session in held:
                if session.claim_id and session.claim_id not in unanswered:
                    self._notices.register_again(session)

    async def _compare_trust(self) -> None:
        """What everyone here may be given, in one look: nearly all of them may be given work."""
        told = {id: (session, session.trust) for id, session in self._sessions.by_device.items()}
        if not told:
            return
        untrusted = await self._service.untrusted_here()
        differing = {id for id, (_, trust) in told.items() if trust != untrusted.get(id, "trusted")}
        if differing:
            standings = await self._service.of(differing)
            for device_id in differing & standings.keys():
                self._compare(told[device_id][0], standings[device_id])

    def _compare(self, session: AgentSession, found: Standing | None) -> None:
        if session.closed or self._sessions.by_device.get(session.device_id) is not session:
            return
        if found is None:
            self._notices.end_soon(session, Code.REMOVED, "This device was removed from the server.")
        elif found.epoch > session.epoch and found.node_id not in (None, self._service.node_id):
            self._moved(session)
        elif found.epoch == session.epoch and found.trust != session.trust:
            self._notices.register_again(session)
