"""The one writer of everything that agents cause: registrations, departures, acknowledgements, heartbeats, the lease.

Each kind waits in memory and is committed in batches, one batch at a time, so that a storm becomes a few transactions.
Whoever comes alone is written at once. Who comes right behind is written with those that come within a moment: of a few
in a transaction each costs several times as much as of many.

While the database is away departures and acknowledgements wait, registrations are refused as retryable, and connections
stay.

A node that was given up while it was paused, because its lease was over for a whole grace, ends its connections: others
may have the devices by now.

Invariant: when the database is back, what it says about this node's devices is made equal to the connections that are
open, both ways, before anything else is written.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog

from app.clock import Clock, utcnow
from app.devices.confirmations import Confirmation
from app.devices.heartbeats import Heartbeat
from app.devices.outcomes import Outcome, Refused, Registration
from app.devices.presence import Departure, PresenceService
from app.devices.registration import RegistrationService
from app.errors import Unavailable
from app.logging import together
from app.realtime import groupcommit
from app.realtime.sessions import AgentSession, Sessions
from app.realtime.supervision import every, supervised
from app.web.metrics import Metrics
from deployx_protocol.codes import Code
from deployx_protocol.states import CAUSE_TEXT, StatusCause

log = structlog.get_logger()

BATCH_MAX = 200
GATHER_S = 0.05
"""So long after the beginning of one turn of writing the next one begins, unless a whole batch waits before that."""
HEARTBEATS_MAX = 1_000
HEARTBEAT_FLUSH_S = 1.0
LEASE_RENEWAL_S = 5.0
SWEEP_S = 1.0
RECONCILE_S = 60.0
RETRY_S = 0.5
AGAIN_S = 1.0
"""How often leases are looked at, whatever is heard of new nodes."""

Item = TypeVar("Item")


@dataclass(eq=False)
class Waiting:
    """A registration on its way to the database. ``committed`` is called before anything else is written."""

    registration: Registration
    committed: Callable[[Outcome], None]
    outcome: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class PresenceLoop:
    """Runs until cancelled. ``reregister`` is told of sessions whose row no longer knows them, ``given_up`` when this
    node was taken for dead, ``moved`` of sessions whose device another node has."""

    def __init__(
        self,
        registrations: RegistrationService,
        presence: PresenceService,
        sessions: Sessions,
        metrics: Metrics,
        *,
        alone: bool,
        reregister: Callable[[AgentSession], None],
        given_up: Callable[[], None] = lambda: None,
        moved: Callable[[AgentSession], None] = lambda _: None,
        lease_renewal_s: float | None = None,
        clock: Clock = utcnow,
    ) -> None:
        self._registrations = registrations
        self._presence = presence
        self._sessions = sessions
        self._metrics = metrics
        self._alone = alone
        self._reregister = reregister
        self._given_up = given_up
        self._moved = moved
        self._lease_renewal_s = lease_renewal_s
        self._clock = clock
        self._arriving: list[Waiting] = []
        self._departing: list[Departure] = []
        self._confirming: list[Confirmation] = []
        self._releasing: list[int] = []
        self._beating: dict[int, Heartbeat] = {}
        self._work = asyncio.Event()
        self._full = asyncio.Event()
        self._stale = False
        self._stopping = False
        self._leaving = False
        self._newcomer = asyncio.Event()
        self._writing = asyncio.Lock()

    async def register(self, registration: Registration, committed: Callable[[Outcome], None]) -> Outcome:
        """The outcome, once it is committed; ``committed`` has been called with it by then."""
        if self._stopping:
            return _stopping()
        waiting = Waiting(registration, committed)
        self._arriving.append(waiting)
        self._is_work(self._arriving)
        return await waiting.outcome

    def depart(self, session: AgentSession, cause: StatusCause, detail: str = "") -> None:
        """The session ended; its row says so soon."""
        text = detail or CAUSE_TEXT[cause]
        self._departing.append(Departure(session.device_id, session.epoch, cause, text, self._clock()))
        self._is_work(self._departing)

    def release(self, claim_id: int) -> None:
        """Whoever waited for the answer to this claim is gone."""
        self._releasing.append(claim_id)
        self._is_work(self._releasing)

    def superseded(self, device_id: int, epoch: int) -> None:
        """A session of another node's did not answer while somebody else registers; its row says so soon."""
        cause = StatusCause.SUPERSEDED
        self._departing.append(Departure(device_id, epoch, cause, CAUSE_TEXT[cause], self._clock()))
        self._is_work(self._departing)

    def confirm(self, session: AgentSession, generation: int) -> None:
        """The agent has stored the generation that its registration gave it."""
        self._confirming.append(Confirmation(session.device_id, session.epoch, generation))
        self._is_work(self._confirming)

    def heartbeat(self, session: AgentSession, at: datetime) -> None:
        """The agent was there ``at`` that moment; ``last_seen`` says so within two seconds."""
        self._beating[session.device_id] = Heartbeat(session.device_id, session.epoch, at)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(supervised("presence.write", self._write_forever))
            group.create_task(supervised("presence.lease", self._renew_forever))
            for interval_s, step in (
                (HEARTBEAT_FLUSH_S, self._flush_heartbeats),
                (RECONCILE_S, self._mark_stale),
            ):
                group.create_task(supervised(step.__name__, partial(every, interval_s, step, self._away_meanwhile)))

    async def start(self) -> None:
        """Take the lease before the first connection. Raises Unavailable."""
        await self._presence.renew_lease(alone=self._alone)

    async def sweep(self) -> None:
        """End the grace of lost nodes' devices, until cancelled. One node at a time does this for all of them."""
        if not self._alone:
            await every(SWEEP_S, self._presence.sweep)

    def newcomer(self) -> None:
        """There is a node that this one does not know: look at the leases soon."""
        self._newcomer.set()

    def hand_over(self) -> None:
        """From now on sessions go to other nodes: what is still called online here is not made to match."""
        self._leaving = True

    async def handed_over(self, within_s: float) -> None:
        """Wait until nothing is called online here any more, ``within_s`` at most."""
        for _ in range(int(within_s / RETRY_S)):
            with contextlib.suppress(Unavailable):
                if not await self._presence.online_here():
                    return
            await asyncio.sleep(RETRY_S)

    async def stop(self, deadline_s: float = 5.0) -> None:
        """Refuse what arrives from now on, and mark this node's devices offline; gives up after ``deadline_s``."""
        self._stopping = True
        self._full.set()
        detail = CAUSE_TEXT[StatusCause.SERVER_SHUTDOWN]
        try:
            async with asyncio.timeout(deadline_s), self._writing:  # nobody comes online after the last one left
                while True:
                    try:
                        return await self._presence.leave(detail)
                    except Unavailable:
                        await asyncio.sleep(RETRY_S)
        except TimeoutError:
            log.warning("presence.left_unsaved", detail="the database is away; another start will settle it")

    # ------------------------------------------------------------ the writer

    def _is_work(self, items: Sequence[object]) -> None:
        self._work.set()
        if len(items) >= BATCH_MAX:
            self._full.set()

    async def _write_forever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            self._full.clear()
            next_turn = asyncio.get_running_loop().time() + GATHER_S
            try:
                async with self._writing:
                    await self._write_all()
            except Unavailable as error:
                self._database_is_away(error)
                await asyncio.sleep(RETRY_S)
                self._work.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_turn):
                    await self._full.wait()

    async def _write_all(self) -> None:
        if self._stale:
            await self._reconcile()
        await self._write_departures()
        await self._write_confirmations()
        await self._write_releases()
        await self._write_arrivals()

    def _database_is_away(self, error: Unavailable) -> None:
        self._metrics.database_errors.inc()
        if not self._stale:
            log.error("database.unavailable", detail=str(error.__cause__ or error)[:300])
        self._stale = True
        refused, self._arriving = self._arriving, []
        self._refuse(refused)

    def _refuse(self, arrivals: Sequence[Waiting]) -> None:
        for waiting in arrivals:
            self._finish(waiting, _try_again())

    async def _write_departures(self) -> None:
        while self._departing:
            batch = self._departing[:BATCH_MAX]
            await _save(batch, self._presence.depart_many)
            del self._departing[: len(batch)]

    async def _write_confirmations(self) -> None:
        while self._confirming:
            batch = self._confirming[:BATCH_MAX]
            await _save(batch, self._presence.confirm_many)
            del self._confirming[: len(batch)]

    async def _write_releases(self) -> None:
        while self._releasing:
            batch = self._releasing[:BATCH_MAX]
            await _save(batch, self._presence.release_claims)
            del self._releasing[: len(batch)]

    async def _write_arrivals(self) -> None:
        if self._stopping:
            refused, self._arriving = self._arriving, []
            for waiting in refused:
                self._finish(waiting, _stopping())
        batch = self._arriving[:BATCH_MAX]
        del self._arriving[: len(batch)]  # before the commit: whoever finds the database away refuses the rest
        if not batch:
            return
        try:
            outcomes = await groupcommit.commit(batch, self._register_batch)
        except Unavailable:
            self._refuse(batch)
            raise
        with together():
            for waiting, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    log.error("registration.failed", exc_info=outcome, agent_id=waiting.registration.message.agent_id)
                    self._finish(waiting, _try_again())
                else:
                    self._finish(waiting, outcome)
        if self._arriving:
            self._is_work(self._arriving)

    async def _register_batch(self, batch: Sequence[Waiting]) -> list[Outcome]:
        return await self._registrations.register_many([waiting.registration for waiting in batch])

    def _finish(self, waiting: Waiting, outcome: Outcome) -> None:
        waiting.committed(outcome)
        if not waiting.outcome.done():
            waiting.outcome.set_result(outcome)

    # ------------------------------------------------------------ in step with the database

    async def _reconcile(self) -> None:
        if not self._leaving:
            await self._make_equal()
        self._stale = False

    async def _make_equal(self) -> None:
        rows = await self._presence.online_here()
        open_here = {session.device_id: session for session in self._sessions.by_device.values()}
        now, detail = self._clock(), CAUSE_TEXT[StatusCause.RECONCILED]
        waiting = {(departure.device_id, departure.epoch) for departure in self._departing}
        for device_id, epoch in rows.items():
            session = open_here.get(device_id)
            if (session is None or session.epoch != epoch) and (device_id, epoch) not in waiting:
                self._departing.append(Departure(device_id, epoch, StatusCause.RECONCILED, detail, now))
        astray = [one for one in open_here.values() if rows.get(one.device_id) != one.epoch]
        elsewhere = await self._presence.elsewhere({one.device_id for one in astray}) if astray else {}
        for session in astray:
            if elsewhere.get(session.device_id, 0) > session.epoch:
                self._moved(session)
            else:
                self._reregister(session)

    async def _flush_heartbeats(self) -> None:
        beats, self._beating = self._beating, {}
        newest = sorted(beats.values(), key=lambda beat: beat.device_id)
        try:
            for start in range(0, len(newest), HEARTBEATS_MAX):
                await _save(newest[start : start + HEARTBEATS_MAX], self._presence.seen_many)
        except Unavailable:
            self._beating = {**beats, **self._beating}
            raise

    async def _renew_forever(self) -> None:
        interval_s = self._lease_renewal_s or LEASE_RENEWAL_S
        while True:
            await asyncio.sleep(min(interval_s, AGAIN_S))  # whoever says that a node is new costs little
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._newcomer.wait(), interval_s - min(interval_s, AGAIN_S))
            self._newcomer.clear()
            try:
                await self._renew_lease()
            except Unavailable as error:
                self._away_meanwhile(error)

    async def _renew_lease(self) -> None:
        if await self._presence.renew_lease(alone=self._alone):
            log.error("node.was_given_up", detail="it was paused, or cut off, for longer than its lease and a grace")
            self._given_up()
            await self._mark_stale()
        self._metrics.nodes.set(len(self._presence.live_nodes))

    async def _mark_stale(self) -> None:
        self._stale = True
        self._work.set()

    def _away_meanwhile(self, error: Unavailable) -> None:
        self._database_is_away(error)
        self._work.set()


async def _save(batch: Sequence[Item], write: Callable[[Sequence[Item]], Awaitable[None]]) -> None:
    """Commit ``batch``; an item that alone makes it fail is logged and given up."""

    async def saved(items: Sequence[Item]) -> list[bool]:
        await write(items)
        return [True] * len(items)

    for item, result in zip(batch, await groupcommit.commit(batch, saved), strict=True):
        if isinstance(result, Exception):
            log.error("presence.unsaved", item=repr(item), exc_info=result)


def _stopping() -> Refused:
    return Refused(Code.SERVER_SHUTDOWN, "The server is stopping. Connect again in a moment.", 5.0)


def _try_again() -> Refused:
    spread = random.uniform(1.0, 3.0)  # noqa: S311 - not a secret
    return Refused(Code.SERVER_UNAVAILABLE, "The server cannot save the registration right now.", round(spread, 2))
