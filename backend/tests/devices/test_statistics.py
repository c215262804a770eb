"""Counters, and devices online over time: minutes in which no server ran stay gaps."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.clock import utcnow
from app.db import Database
from app.devices.models import Device, PresenceSample
from app.devices.scope import Scope
from app.devices.statistics import SPANS, StatisticsService, Window
from app.uow import UnitOfWork
from deployx_protocol.states import Trust
from tests.support import rows
from tests.support.node import Serve
from tests.support.server import Browse, MakePerson, ManualClock

EVERYONE = Scope(None)


@pytest.fixture
def noon() -> ManualClock:
    """A clock of its own, half a minute past a step of every window."""
    clock = ManualClock()
    clock.now = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
    return clock


@pytest.fixture
def statistics(uow: UnitOfWork, db: Database, noon: ManualClock) -> StatisticsService:
    """The service on that clock, with one live node."""
    return StatisticsService(uow, db, lambda: {"live"}, clock=noon)


async def put(db: Database, *made: object) -> None:
    async with db.write() as session:
        session.add_all(made)


async def samples(db: Database) -> list[PresenceSample]:
    async with db.read() as session:
        order = sa.select(PresenceSample).order_by(PresenceSample.at, PresenceSample.user_id)
        return list(await session.scalars(order))


async def test_counts_by_status_and_trust(statistics: StatisticsService, db: Database, person: MakePerson) -> None:
    ada, bob = await person("ada@example.test"), await person("bob@example.test")
    none = {"total": 0, "online": 0, "offline": 0, "unknown": 0, "pending": 0, "quarantined": 0, "unverified": 0}
    assert await statistics.counts(EVERYONE) == none
    await put(
        db,
        rows.device(1, status="online", node_id="live", user_id=ada.id),
        rows.device(2, status="online", node_id="dead", user_id=ada.id, trust=Trust.QUARANTINED),
        rows.device(3, status="online", node_id=None, trust=Trust.UNVERIFIED),
        rows.device(4, user_id=ada.id, trust=Trust.PENDING),
        rows.device(5, user_id=bob.id),
        rows.device(6),
    )
    everyones = await statistics.counts(EVERYONE)
    assert everyones == none | {
        "total": 6,
        "online": 1,
        "unknown": 2,
        "offline": 3,
        "pending": 1,
        "quarantined": 1,
        "unverified": 1,
    }
    hers = await statistics.counts(Scope(ada.id))
    assert hers == none | {"total": 3, "online": 1, "unknown": 1, "offline": 1, "pending": 1, "quarantined": 1}
    assert await statistics.counts(Scope(bob.id)) == none | {"total": 1, "offline": 1}


async def test_a_minute_is_sampled_once(
    statistics: StatisticsService, db: Database, noon: ManualClock, person: MakePerson
) -> None:
    ada = await person()
    await put(db, rows.device(1, user_id=ada.id, status="online", node_id="live"), rows.device(2, user_id=ada.id))
    for _ in range(3):
        await statistics.sample()
    noon.advance(seconds=29)
    await statistics.sample()
    assert [(s.user_id, s.online, s.total) for s in await samples(db)] == [(0, 0, 0), (ada.id, 1, 2)]
    noon.advance(seconds=1)
    await statistics.sample()
    assert len(await samples(db)) == 4


async def test_gaps_stay_gaps_and_no_devices_are_none(
    statistics: StatisticsService, db: Database, noon: ManualClock, person: MakePerson
) -> None:
    ada, bob = await person("ada@example.test"), await person("bob@example.test")
    device = rows.device(1, user_id=ada.id, status="online", node_id="live")
    await put(db, device)
    await statistics.sample()
    first = noon().replace(second=0)
    noon.advance(minutes=10)  # nothing ran at 12:05
    async with db.write() as session:
        await session.execute(sa.delete(Device))
    await statistics.sample()
    expected = {
        EVERYONE: [(1, 1), (None, None), (0, 0)],
        Scope(ada.id): [(1, 1), (None, None), (0, 0)],
        Scope(bob.id): [(0, 0), (None, None), (0, 0)],
    }
    for scope, values in expected.items():
        step, points = await statistics.online_over_time(scope, Window.DAY)
        assert step == timedelta(minutes=5)
        assert [moment for moment, _, _ in points[-3:]] == [first + i * step for i in range(3)]
        assert [(online, total) for _, online, total in points[-3:]] == values, scope
        assert all(online is None for _, online, _ in points[:-3])


@pytest.mark.parametrize("window", Window)
async def test_every_window_covers_its_span_evenly(window: Window, statistics: StatisticsService) -> None:
    span, step = SPANS[window]
    found, points = await statistics.online_over_time(EVERYONE, window)
    moments = [moment for moment, _, _ in points]
    assert found == step
    assert {later - earlier for earlier, later in itertools.pairwise(moments)} == {step}
    assert span <= moments[-1] - moments[0] + step <= span + 2 * step


async def test_old_samples_are_thinned_then_dropped(
    statistics: StatisticsService, db: Database, noon: ManualClock
) -> None:
    now = noon().replace(second=0)
    fine = [now - timedelta(minutes=n) for n in range(40)]
    coarse = [now - timedelta(hours=50) - timedelta(minutes=n) for n in range(60)]
    old = [now - timedelta(days=33), now - timedelta(days=400)]
    await put(db, *(PresenceSample(at=at, user_id=u, online=1, total=1) for at in fine + coarse + old for u in (0, 1)))
    for _ in range(2):  # the second time changes nothing
        await statistics.prune()
        kept = sorted({sample.at for sample in await samples(db)})
        assert [at for at in kept if at > now - timedelta(hours=48)] == sorted(fine)
        thinned = [at for at in kept if at <= now - timedelta(hours=48)]
        assert len({(at.date(), at.hour, at.minute // 15) for at in thinned}) == len(thinned) in (4, 5)
        assert len(await samples(db)) == 2 * len(kept)


async def test_nodes_that_sample_at_once_make_one_sample_of_each_owner(
    statistics: StatisticsService, db: Database, person: MakePerson
) -> None:
    ada = await person()
    await put(db, rows.device(1, user_id=ada.id, status="online", node_id="live"))
    await asyncio.gather(*(statistics.sample() for _ in range(8)))
    assert [(s.user_id, s.online, s.total) for s in await samples(db)] == [(0, 0, 0), (ada.id, 1, 1)]


async def test_a_sample_counts_no_device_of_a_node_that_is_gone(statistics: StatisticsService, db: Database) -> None:
    held_by = ("live", "dead", None)
    await put(db, *(rows.device(n, status="online", node_id=node) for n, node in enumerate(held_by)))
    await statistics.sample()
    assert [(s.user_id, s.online, s.total) for s in await samples(db)] == [(0, 1, 3)]


async def test_the_routes(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person("ada@example.test", Role.VIEWER)
    await put(node.db, rows.device(1, user_id=ada.id), rows.device(2))
    client = browse(node, ada.bearer)
    counts = (await client.get("/api/v1/stats")).json()
    assert (counts["total"], counts["offline"], counts["online"]) == (1, 1, 0)
    for window in Window:
        plot = (await client.get("/api/v1/stats/online", params={"window": window.value})).json()
        assert set(plot) == {"step_s", "from", "to", "points"}
        assert plot["points"][0][0] == plot["from"]
        assert plot["points"][-1][0] == plot["to"]
        assert datetime.fromisoformat(plot["to"]) <= utcnow()
    assert (await client.get("/api/v1/stats/online", params={"window": "1y"})).status_code == 422
