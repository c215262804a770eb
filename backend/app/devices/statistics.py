"""Counters, and how many devices were online over time.

One sample a minute and owner; older samples are thinned to one in fifteen minutes, and dropped when no window reaches
back to them: nothing about that can be set. A minute in which no
server ran has no sample: it is a gap, and is shown as one.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from app.accounts.principal import Principal
from app.clock import Clock, utcnow
from app.db import Database, insert_new
from app.devices.models import Device, PresenceSample
from app.devices.repository import is_online
from app.devices.scope import Scope
from app.groups.scopes import scope_of
from app.pruning import BATCH, delete_where
from app.uow import UnitOfWork
from deployx_protocol.states import DeviceStatus, Trust

SAMPLE = timedelta(minutes=1)
THINNED = timedelta(minutes=15)
FINE_FOR = timedelta(hours=48)
KEPT_FOR = timedelta(days=32)
"""Longer than the longest window."""
NOBODY = 0


class Window(StrEnum):
    """How far back to look."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"


SPANS: dict[Window, tuple[timedelta, timedelta]] = {
    Window.DAY: (timedelta(hours=24), timedelta(minutes=5)),
    Window.WEEK: (timedelta(days=7), timedelta(minutes=30)),
    Window.MONTH: (timedelta(days=30), timedelta(hours=2)),
}
"""Window → (span, step)."""

Point = tuple[datetime, int | None, int | None]


class StatisticsService:
    """Reads counts within a scope, and keeps the samples."""

    def __init__(
        self, uow: UnitOfWork, db: Database, live_nodes: Callable[[], Collection[str]], clock: Clock = utcnow
    ) -> None:
        self._uow = uow
        self._db = db
        self._live_nodes = live_nodes
        self._clock = clock

    async def counts_of(self, principal: Principal) -> dict[str, int]:
        """How many devices this user sees, by presence and by trust."""
        return await self.counts(await self._scope(principal))

    async def online_of(self, principal: Principal, window: Window) -> tuple[timedelta, list[Point]]:
        """How many of this user's own devices were online. What is shared with them is not in it: it was not recorded
        who saw what, and what is taken back would stay."""
        return await self.online_over_time(await self._scope(principal), window)

    async def _scope(self, principal: Principal) -> Scope:
        async with self._db.read() as session:
            return await scope_of(session, principal)

    async def counts(self, scope: Scope) -> dict[str, int]:
        """How many devices there are, by presence and by trust."""

        def number(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
            return sa.func.coalesce(sa.func.sum(sa.case((sa.and_(*conditions), 1), else_=0)), 0)

        query = sa.select(
            sa.func.count().label("total"),
            number(is_online(self._live_nodes())).label("online"),
            number(Device.status != DeviceStatus.ONLINE).label("offline"),
            *(number(Device.trust == t).label(t) for t in (Trust.PENDING, Trust.QUARANTINED, Trust.UNVERIFIED)),
        ).select_from(Device)
        async with self._db.read() as session:
            counts = dict((await session.execute(scope.limit(query))).mappings().one())
        return {**counts, "unknown": counts["total"] - counts["online"] - counts["offline"]}

    async def online_over_time(self, scope: Scope, window: Window) -> tuple[timedelta, list[Point]]:
        """The step, and one point for each; what is not known is None."""
        span, step = SPANS[window]
        now = self._clock()
        first = _floor(now - span, step)
        online, total = _sums(scope)
        query = sa.select(PresenceSample.at, online, total).where(PresenceSample.at >= first)
        if scope.user_id is not None:
            query = query.where(PresenceSample.user_id.in_((scope.user_id, NOBODY)))
        async with self._db.read() as session:
            samples = (await session.execute(query.group_by(PresenceSample.at).order_by(PresenceSample.at))).all()
        known = {_floor(at, step): (int(count), int(all_of_them)) for at, count, all_of_them in samples}
        steps = int((now - first) / step) + 1
        return step, [(moment, *known.get(moment, (None, None))) for moment in (first + i * step for i in range(steps))]

    async def sample(self) -> None:
        """Record this minute, once, whichever node comes first. Every owner gets a row, and so does nobody: 0."""
        now = self._clock().replace(second=0, microsecond=0)
        owner = sa.func.coalesce(Device.user_id, NOBODY)
        online = sa.func.sum(sa.case((is_online(self._live_nodes()), 1), else_=0))
        async with self._uow.begin() as unit:
            if await unit.session.scalar(sa.select(PresenceSample.at).where(PresenceSample.at == now).limit(1)):
                return
            rows = (await unit.session.execute(sa.select(owner, online, sa.func.count()).group_by(owner))).all()
            counts = {NOBODY: (0, 0)} | {user_id: (count, total) for user_id, count, total in rows}
            samples = [
                {"at": now, "user_id": user_id, "online": count, "total": total}
                for user_id, (count, total) in sorted(counts.items())
            ]
            await unit.session.execute(insert_new(unit.session, PresenceSample).values(samples))

    async def prune(self) -> None:
        """Thin and drop old samples. Raises Unavailable."""
        now = self._clock()
        await delete_where(self._db, PresenceSample, PresenceSample.at < now - KEPT_FOR)
        async with self._db.read() as session:
            old = sa.select(PresenceSample.at).where(PresenceSample.at < now - FINE_FOR).distinct()
            moments = _surplus(sorted(await session.scalars(old)))
        for start in range(0, len(moments), BATCH):
            await delete_where(self._db, PresenceSample, PresenceSample.at.in_(moments[start : start + BATCH]))


def _sums(scope: Scope) -> list[sa.ColumnElement[int]]:
    """Online and total of a moment. Nobody's sample counts nothing for a user, but says that it is no gap."""
    columns: list[sa.ColumnElement[int]] = [PresenceSample.online.expression, PresenceSample.total.expression]
    if scope.user_id is not None:
        own = PresenceSample.user_id == scope.user_id
        columns = [sa.case((own, column), else_=0) for column in columns]
    return [sa.func.sum(column) for column in columns]


def _floor(moment: datetime, step: timedelta) -> datetime:
    seconds = int(step.total_seconds())
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def _surplus(moments: Sequence[datetime]) -> list[datetime]:
    """Those of the sorted ``moments`` that are not the first of their fifteen minutes."""
    first: dict[datetime, datetime] = {}
    for moment in moments:
        first.setdefault(_floor(moment, THINNED), moment)
    return [moment for moment in moments if first[_floor(moment, THINNED)] != moment]
