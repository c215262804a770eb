"""Somebody sets the server's clock, an hour ahead or back: nobody is cut off for it, and nobody goes offline."""

import datetime
import time
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from app.clock import utcnow
from app.db import Database
from app.devices.models import Device, Node
from app.devices.presence import LEASE, PresenceService
from app.uow import UnitOfWork
from deployx_protocol import events
from tests.support import rows
from tests.support.machines import MakeAgent
from tests.support.node import RunningNode, Serve, eventually
from tests.support.peers import Watch
from tests.support.server import MakePerson, ManualClock

AGENTS = 4
HOUR_S = 3600.0
BEATS = 2
GRACE_S = 90.0


class WallClock:
    """The wall clock of this process, as far as the server and the libraries under it look at it in Python."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moved_s = 0.0
        wall = time.time
        clock = self

        class Moved(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
                return datetime.datetime.now(tz) + datetime.timedelta(seconds=clock.moved_s)

        monkeypatch.setattr(time, "time", lambda: wall() + clock.moved_s)
        monkeypatch.setattr("app.clock.datetime", Moved)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """A clock to set; what the server does now and then it does all the time."""
    for name, often_s in (("LEASE_RENEWAL_S", 0.1), ("RECONCILE_S", 0.2), ("HEARTBEAT_FLUSH_S", 0.1)):
        monkeypatch.setattr(f"app.realtime.presence.{name}", often_s)
    monkeypatch.setattr("app.realtime.dashboards.CHECK_S", 0.2)
    return WallClock(monkeypatch)


async def test_fault_10_the_servers_clock_moves_an_hour_and_nobody_goes_offline(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson, wall_clock: WallClock
) -> None:
    node = await serve(enrollment="approval", ping_interval=0.2, ping_timeout=2, presence_grace_s=1)
    dashboard = await watch(node, await person())
    agents = [agent(node) for _ in range(AGENTS)]
    for peer in agents:
        await peer.start()
        await dashboard.change(agent_id=peer.machine.agent_id, status="online")
    heard = len(dashboard.heard)
    for moved_s in (HOUR_S, -HOUR_S, 0.0):
        wall_clock.moved_s = moved_s
        for _ in range(BEATS):
            before = (await node.nodes())[0].lease_expires_at
            for peer in agents:
                assert (await peer.call(events.PING))["ok"]
            await eventually(lambda before=before: _lease_is_other(node, before), what="a new lease")
        await eventually(lambda moved_s=moved_s: _seen_now(node, moved_s), what="a heartbeat by the new clock")
        assert {row.status for row in await node.devices()} == {"online"}
    assert all(peer.open for peer in agents)
    assert dashboard.open
    assert dashboard.heard[heard:] == []
    for row in await node.devices():
        assert [event.cause for event in await node.status_events(row.id)] == ["registered"]
    newcomer = agent(node)
    await newcomer.start()
    await agents[0].close()
    await dashboard.change(agent_id=agents[0].machine.agent_id, status="offline")


class Watching:
    """A server that watches a lost one's device. It reads two clocks: ``wall``, and one that only runs."""

    def __init__(self, db: Database) -> None:
        self.wall = ManualClock()
        self.ran_s = 0.0
        self._db = db
        self._presence = self._process()

    def _process(self) -> PresenceService:
        unit, clocks = UnitOfWork(self._db, lambda _: None), {"clock": self.wall, "monotonic": lambda: self.ran_s}
        return PresenceService(unit, self._db, node_id="here", grace_s=GRACE_S, **clocks)  # type: ignore[arg-type]

    def restart(self) -> None:
        """Another process takes over; its own clock is another one."""
        self.ran_s += 1_000_000
        self._presence = self._process()

    async def after(self, seconds: float) -> str:
        """The device's status when so much time has passed."""
        self.wall.advance(seconds=seconds)
        self.ran_s += seconds
        await self._presence.renew_lease(alone=True)
        async with self._db.read() as session:
            return str(await session.scalar(sa.select(Device.status)))


@pytest.fixture
async def watching(sqlite_url: str) -> AsyncIterator[Watching]:
    """It starts at the moment when the other one is lost."""
    db = Database(sqlite_url)
    here = Watching(db)
    async with db.write() as session:
        session.add(Node(id="lost", started_at=here.wall.now, lease_expires_at=here.wall.now))
        session.add(rows.device(1, status="online", node_id="lost"))
    yield here
    await db.close()


@pytest.mark.parametrize("moved_h", [-1, 1])
async def test_fault_10_a_clock_that_is_set_neither_prolongs_nor_ends_the_grace_of_a_lost_server(
    watching: Watching, moved_h: float
) -> None:
    assert await watching.after(0) == "online"
    watching.wall.advance(hours=moved_h)
    assert await watching.after(0) == "online"
    assert await watching.after(GRACE_S - 1) == "online"
    watching.wall.advance(hours=moved_h)
    assert await watching.after(0) == "online"
    assert await watching.after(1) == "offline"


@pytest.mark.parametrize("moved_h", [-1, 0, 1])
async def test_fault_10_a_grace_goes_on_where_the_process_before_left_it(watching: Watching, moved_h: float) -> None:
    assert await watching.after(0) == "online"
    watching.wall.advance(hours=moved_h)
    assert await watching.after(GRACE_S - 10) == "online"
    watching.restart()
    assert await watching.after(9) == "online"
    assert await watching.after(1) == "offline"


async def test_fault_10_no_lease_is_good_for_longer_than_a_lease_when_the_clock_was_set_back(
    db: Database, uow: UnitOfWork
) -> None:
    later = utcnow() + datetime.timedelta(hours=1)
    async with db.write() as session:
        session.add(Node(id="other", started_at=later, lease_expires_at=later))
    presence = PresenceService(uow, db, node_id="here", grace_s=GRACE_S)
    await presence.renew_lease(alone=False)
    assert presence.live_nodes == {"here", "other"}
    async with db.read() as session:
        other = await session.get_one(Node, "other")
    assert other.lease_expires_at < utcnow() + LEASE * 2


async def _lease_is_other(node: RunningNode, before: datetime.datetime) -> bool:
    return (await node.nodes())[0].lease_expires_at != before


async def _seen_now(node: RunningNode, moved_s: float) -> bool:
    """Whether every heartbeat was noted by the clock as it is set."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=moved_s)
    return all(row.last_seen and abs((now - row.last_seen).total_seconds()) < 60 for row in await node.devices())
