"""A day that simulated devices had before now, for demonstrations and pictures: a plot of a minute says nothing.

The server's own services write all of it, as they would have, with a clock that is moved from moment to moment; nothing
is written in any other way. Invariant: the server does not run meanwhile, and its database is migrated. Afterwards
`deployx-server sim --seed …` brings back the same devices, except those that went for good.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from app.db import Database
from app.devices.outcomes import Registered, Registration
from app.devices.presence import Departure, PresenceService
from app.devices.registration import RegistrationService
from app.devices.statistics import StatisticsService
from app.sim.machine import Machine
from app.uow import UnitOfWork
from deployx_protocol.messages import AgentRegister
from deployx_protocol.states import CAUSE_TEXT, StatusCause

SPAN = timedelta(hours=24)
STEP = timedelta(minutes=5)
"""Of the plot of a day: each of its points gets a sample."""
NODE = "past"
_OUTAGE = (0.55, 0.58)
"""When one site was without a connection, as shares of the span."""
_OUTAGE_SITE = "lon"
_FLAPS_A_DAY = 1.5
_REASONS = (StatusCause.CONNECTION_CLOSED, StatusCause.CONNECTION_CLOSED, StatusCause.PING_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices `0` to `count` of the simulator's `seed`, which `token` admits. The last `gone` of them went for good."""

    origin: str
    token: str
    seed: str
    count: int
    gone: int = 0


@dataclass(slots=True)
class Life:
    """One device: when it is away, as (from, until), and the session that it has."""

    machine: Machine
    away: list[tuple[datetime, datetime]]
    session: Registered | None = None

    def is_there(self, moment: datetime) -> bool:
        """Whether it is connected then."""
        return not any(begun <= moment < over for begun, over in self.away)


@dataclass(slots=True)
class _Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


async def live(database_url: str, fleets: Sequence[Fleet]) -> None:
    """Let the devices of `fleets` live until now. Raises RuntimeError for one that the server refuses."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    until = datetime.now(UTC)
    clock = _Clock(until - SPAN)
    since = clock.now
    db = Database(database_url)
    uow = UnitOfWork(db, lambda hints: None, clock)
    services = _Services(
        RegistrationService(uow, node_id=NODE, approval=False, pending_max=0, clock=clock),
        PresenceService(uow, db, node_id=NODE, grace_s=0.0, clock=clock),
        StatisticsService(uow, db, lambda: {NODE}, clock),
    )
    try:
        await services.presence.renew_lease(alone=False)
        lives = [(fleet, life) for fleet in fleets for life in _lives(fleet, since, until)]
        while clock.now < until:
            await services.step(lives, clock.now)
            clock.now += STEP
        clock.now = datetime.now(UTC)
        await services.step(lives, clock.now)
    finally:
        await db.close()


@dataclass(frozen=True, slots=True)
class _Services:
    registrations: RegistrationService
    presence: PresenceService
    statistics: StatisticsService
    dice: random.Random = field(default_factory=lambda: random.Random("past"))

    async def step(self, lives: Sequence[tuple[Fleet, Life]], now: datetime) -> None:
        """Whoever comes registers, whoever goes departs; then they are counted."""
        coming = [(fleet, life) for fleet, life in lives if life.session is None and life.is_there(now)]
        if coming:
            outcomes = await self.registrations.register_many([_registration(*one) for one in coming])
            for (_, life), outcome in zip(coming, outcomes, strict=True):
                if not isinstance(outcome, Registered):
                    raise RuntimeError(f"{life.machine.hostname} was not registered: {outcome}")
                life.session = outcome
        going = [life for _, life in lives if life.session is not None and not life.is_there(now)]
        if going:
            await self.presence.depart_many([self._departure(life, now) for life in going])
            for life in going:
                life.session = None
        await self.statistics.sample()

    def _departure(self, life: Life, now: datetime) -> Departure:
        assert life.session is not None
        laptop = life.machine.hostname.startswith("laptop")
        cause = StatusCause.AGENT_LEAVING if laptop else self.dice.choice(_REASONS)
        at = now - timedelta(seconds=self.dice.uniform(0, STEP.total_seconds() / 2))
        return Departure(life.session.device_id, life.session.epoch, cause, CAUSE_TEXT[cause], at)


def _registration(fleet: Fleet, life: Life) -> Registration:
    boot = random.Random(f"{life.machine.agent_id}:{len(life.away)}").randbytes(16).hex()
    wire = life.machine.register(fleet.origin, "past", boot, fleet.token)
    life.machine.enrolled = True
    message = msgspec.convert(wire, AgentRegister)
    return Registration(message, life.machine.address, live_boot=lambda _: None, claim_connected=lambda _: False)


def _lives(fleet: Fleet, since: datetime, until: datetime) -> list[Life]:
    lives = []
    for number in range(fleet.count):
        machine = Machine.make(fleet.seed, number)
        dice = random.Random(f"{fleet.seed}:{number}:past")
        away = _absences(machine, dice, since)
        if number >= fleet.count - fleet.gone:
            away.append((since + dice.uniform(0.2, 0.95) * SPAN, until + SPAN))
        lives.append(Life(machine, away))
    return lives


def _absences(machine: Machine, dice: random.Random, since: datetime) -> list[tuple[datetime, datetime]]:
    """Laptops are shut at night; one site loses its connection for a while; each goes for a moment now and then."""
    away = []
    if machine.hostname.startswith("laptop"):
        midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
        for day in range(-1, 2):
            evening = midnight + timedelta(days=day, hours=dice.gauss(18, 1.2))
            away.append((evening, midnight + timedelta(days=day + 1, hours=dice.gauss(8, 0.8))))
    if f"-{_OUTAGE_SITE}-" in machine.hostname:
        begun, over = (since + share * SPAN for share in _OUTAGE)
        away.append((begun, over + timedelta(minutes=dice.uniform(0, 12))))
    at = dice.expovariate(_FLAPS_A_DAY)
    while at < 1.0:
        begun = since + at * SPAN
        away.append((begun, begun + timedelta(minutes=dice.uniform(5, 20))))
        at += dice.expovariate(_FLAPS_A_DAY)
    return away
