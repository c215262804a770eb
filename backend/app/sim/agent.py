"""One simulated agent: it connects, registers, keeps its heartbeat, and hands what is about tasks to its ``Work``.

It comes back after every loss, at once or a moment later, until it is told to go for good.
"""

import asyncio
import random
import time
from typing import Any

from app.sim.http import AgentHttp
from app.sim.link import Link, LinkLost
from app.sim.machine import Machine
from app.sim.outbox import Mood
from app.sim.plants import Plant
from app.sim.witness import Witness
from app.sim.work import Work
from deployx_protocol import events
from deployx_protocol.checks import InvalidPayload, decode
from deployx_protocol.messages import RegistrationFailed, RegistrationSuccess, SessionEnded
from deployx_protocol.states import Trust

BACKOFF_S = (0.1, 1.0)
ANSWER_S = 30.0


class Gone(Exception):
    """The server wants no more of this agent."""


class Agent:
    """An agent on ``machine`` that dials ``origin``. ``turn`` holds back how many register at once."""

    def __init__(
        self,
        machine: Machine,
        origin: str,
        token: str,
        *,
        http: AgentHttp,
        witness: Witness,
        turn: asyncio.Semaphore,
        dice: random.Random,
        plant: Plant | None = None,
    ) -> None:
        self.machine = machine
        self._origin = origin
        self._token = token
        self._witness = witness
        self._turn = turn
        self._dice = dice
        self._plant = plant
        self.seen = witness.device(machine.agent_id)
        self.work = Work(machine, witness, Mood(dice), plant, self._new_id(), http)
        self.registered = asyncio.Event()
        """Set at the first registration, or when there will be none."""
        self.connected = asyncio.Event()
        """Set while it is registered on a connection; the witness has it as well."""
        self._journal_is_new = False
        self._away_s = 0.0
        self._link: Link | None = None
        self._left_open: list[Link] = []
        self._session: asyncio.Task[None] | None = None
        self._leaving = False
        self._pinged_at: float | None = None

    def _new_id(self) -> str:
        return self._dice.randbytes(16).hex()

    async def run(self) -> None:
        """Until it has left for good, or the server will not have it."""
        try:
            while not self._leaving:
                self._session = asyncio.ensure_future(self._connect())
                await asyncio.wait({self._session})
                if not self._session.cancelled() and (error := self._session.exception()):
                    raise error
                pause_s, self._away_s = self._away_s or self._dice.uniform(*BACKOFF_S), 0.0
                if not self._leaving:
                    await asyncio.sleep(pause_s)
        except Gone as why:
            self.seen.refused.append(str(why))
            self.registered.set()
        finally:
            if self._session:
                self._session.cancel()
            self.work.stop()

    # ------------------------------------------------------------ what may happen to it

    def cut(self, away_s: float = 0.0) -> None:
        """Its connection breaks."""
        self._away_s = away_s
        if self._session:
            self._session.cancel()

    def abandon(self) -> None:
        """Its end of the connection is gone, and the server does not learn of it; it dials anew."""
        if self._link:
            self._link.stall()
            self._left_open.append(self._link)
        self.cut()

    def restart(self, *, lose_journal: bool = False) -> None:
        """Its process is killed and started again."""
        if lose_journal:
            self.work.lose_journal(self._new_id())
            self._journal_is_new = True
        self.work.restart(self._new_id())
        self.cut()

    def close_left_open(self) -> None:
        """What was left open is noticed to be dead."""
        while self._left_open:
            self._left_open.pop().cut()

    async def leave(self, *, politely: bool) -> None:
        """It goes and does not come back."""
        self._leaving = True
        self.close_left_open()
        if self._plant is Plant.PRESENCE:
            self._set_connected(False)  # and the connection lives on, without it
            return
        if politely and self._link and self.seen.connected:
            try:
                await self._link.send(events.AGENT_LEAVING, {"reason": "shutdown"})
                await self._link.close()
            except LinkLost:
                pass
        self.cut()

    # ------------------------------------------------------------ one connection

    async def _connect(self) -> None:
        link = None
        try:
            async with self._turn:
                began = time.monotonic()
                self._link = link = await Link.open(self._origin)
                success = await self._register(link)
                self._witness.registrations_s.append(time.monotonic() - began)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat(link, success.heartbeat_interval_s))
                group.create_task(self.work.serve(link, success.http_token))
                await self._listen(link)
        except (LinkLost, TimeoutError):
            pass
        except InvalidPayload as error:
            raise Gone(f"the server said what the protocol does not allow: {error}") from None
        except ExceptionGroup as group:
            _judge(group)
        finally:
            self._set_connected(False)
            if link and link not in self._left_open:
                link.cut()

    async def _register(self, link: Link) -> RegistrationSuccess:
        payload = self.machine.register(self._origin, link.sid, self.work.boot_id, self._token)
        await link.send(events.AGENT_REGISTER, payload)
        async with asyncio.timeout(ANSWER_S):
            while True:
                event, answer = await link.receive()
                match event:
                    case events.REGISTRATION_SUCCESS:
                        return await self._succeeded(link, decode(answer, RegistrationSuccess))
                    case events.REGISTRATION_FAILED:
                        self._refused(decode(answer, RegistrationFailed))
                    case events.SESSION_ENDED:
                        self._refused(decode(answer, SessionEnded))
                    case events.IDENTITY_SPLIT:
                        raise Gone("the server takes this machine for a copy of another")

    async def _succeeded(self, link: Link, success: RegistrationSuccess) -> RegistrationSuccess:
        self.machine.agent_id = self.seen.agent_id = success.agent_id
        self.machine.generation, self.machine.enrolled = success.generation, True
        if self._journal_is_new:
            self._journal_is_new = False
            self.seen.journal_lost_at.append(time.monotonic())
        if success.trust is not Trust.TRUSTED:
            self.seen.refused.append(f"it is {success.trust.value}, so it gets no work")
        await link.send(events.REGISTRATION_ACK, {"generation": success.generation})
        self._set_connected(not self._leaving)
        self.registered.set()
        return success

    def _set_connected(self, connected: bool) -> None:
        self.seen.connected = connected
        self.connected.set() if connected else self.connected.clear()

    def _refused(self, refusal: RegistrationFailed | SessionEnded) -> None:
        if not refusal.retryable:
            raise Gone(f"{refusal.code.value}: {refusal.message}")
        self._away_s = refusal.retry_after_s or 0.0
        raise LinkLost(refusal.message)

    async def _listen(self, link: Link) -> None:
        while True:
            event, payload = await link.receive()
            match event:
                case events.PONG:
                    if self._pinged_at is not None:
                        self._witness.pings_s.append(time.monotonic() - self._pinged_at)
                        self._pinged_at = None
                case events.SESSION_ENDED:
                    self._refused(decode(payload, SessionEnded))
                case events.REGISTRATION_REQUIRED:
                    payload = self.machine.register(self._origin, link.sid, self.work.boot_id, self._token)
                    await link.send(events.AGENT_REGISTER, payload)
                case events.REGISTRATION_SUCCESS:
                    await self._succeeded(link, decode(payload, RegistrationSuccess))
                case _:
                    self._deliver(event, payload)

    def _deliver(self, event: str, payload: Any) -> None:
        if not self._leaving:
            self.work.deliver(event, payload)

    async def _beat(self, link: Link, interval_s: float) -> None:
        while True:
            self._pinged_at = time.monotonic()
            await link.send(events.PING, {})
            await asyncio.sleep(interval_s * self._dice.uniform(0.9, 1.1))


def _judge(group: ExceptionGroup) -> None:
    """A lost connection is nothing; that the server wants no more of the agent is; anything else is a bug."""
    _, rest = group.split((LinkLost, TimeoutError))
    if rest is None:
        return
    gone, others = rest.split((Gone, InvalidPayload))
    if others is not None:
        raise others
    assert gone is not None
    raise Gone(str(gone.exceptions[0])) from None
