"""Work that one server alone does at a time: a lease with a name, and the number of the term for which it is held.

Invariants: a lease is kept on the database's clock. Each term of a lease has a number of its own, and whoever writes
for a term confirms it in the same transaction: the row is locked until the commit, so what a server wrote stands before
its successor begins, and one that was paused past its lease and wakes writes nothing. With SQLite, which one server at
a time may use, every lease is held always.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, Database, UtcTimestamp
from app.errors import Unavailable

LEASE_S = 15.0
_RELEASE_S = 2.0

log = structlog.get_logger()


class Lease(Base):
    """Which server does a piece of work, until when, and for the how manieth time it changed hands."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    node_id: Mapped[str] = mapped_column(sa.Text)
    term: Mapped[int] = mapped_column(sa.BigInteger)
    expires_at: Mapped[datetime] = mapped_column(UtcTimestamp)


class Deposed(Exception):
    """Another server has taken over: the transaction is not to be committed."""


@dataclass(frozen=True, slots=True)
class Term:
    """The time for which one server holds a lease. ``number`` grows with each; 0 with SQLite, where nothing ends it."""

    name: str
    node_id: str
    number: int

    async def confirm(self, session: AsyncSession) -> None:
        """Make the rest of this transaction part of the term. Raises Deposed.

        Take this lock before all others: who holds rows and waits for it could wait in a circle.
        """
        if session.get_bind().dialect.name == "sqlite":
            return
        query = sa.select(Lease.name).where(
            Lease.name == self.name, Lease.node_id == self.node_id, Lease.term == self.number
        )
        if await session.scalar(query.with_for_update(read=True)) is None:
            raise Deposed(f"Another server has the lease {self.name!r}.")


Work = Callable[[Term], Awaitable[None]]


class Leadership:
    """The lease ``name``, for which this node stands. Each piece of work that one server alone does has its own.

    ``async with uow.begin() as unit: await term.confirm(unit.session); …`` is how its work writes.
    """

    def __init__(
        self,
        db: Database,
        name: str,
        *,
        node_id: str,
        lease_s: float = LEASE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._name = name
        self._node_id = node_id
        self._lease_s = lease_s
        self._monotonic = monotonic
        self.term: Term | None = None
        """While this node leads."""

    async def lead(self, work: Work) -> None:
        """Do ``work`` for as long as this node has the lease, and again each time that it gets it, until cancelled.

        Work is cancelled when the lease is lost, or could not be renewed in time. Work that returns ends this too.
        """
        if self._db.is_sqlite:
            self.term = Term(self._name, self._node_id, 0)
            await work(self.term)
            return
        while True:
            held_until, term = await self._campaign()
            log.info("lease.taken", lease=self._name, term=term.number)
            self.term = term
            try:
                if await self._while_renewed(term, held_until, work):
                    return
            finally:
                self.term = None
                await self._release(term)
            log.warning("lease.lost", lease=self._name, term=term.number)

    @property
    def _turn_s(self) -> float:
        return self._lease_s / 3

    async def _campaign(self) -> tuple[float, Term]:
        """Wait until this node has the lease: until when by its own clock, and which term that is."""
        while True:
            asked_at = self._monotonic()
            with contextlib.suppress(Unavailable):
                number = await self._take()
                if number is not None:
                    return asked_at + self._lease_s, Term(self._name, self._node_id, number)
            await asyncio.sleep(self._turn_s)

    async def _while_renewed(self, term: Term, held_until: float, work: Work) -> bool:
        """Do ``work`` while the lease lasts; whether it came to its end."""
        working = asyncio.ensure_future(work(term))
        try:
            while (left_s := held_until - self._monotonic()) > 0:
                await asyncio.wait([working], timeout=min(self._turn_s, left_s))
                if working.done():
                    working.result()
                    return True
                held_until = await self._renewed(term, held_until)
        except Deposed:
            pass
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        return False

    async def _renewed(self, term: Term, held_until: float) -> float:
        """Until when the lease is held now, by this node's own clock; 0 when it is another's."""
        asked_at = self._monotonic()
        try:
            async with asyncio.timeout(max(0.0, held_until - asked_at)):
                return asked_at + self._lease_s if await self._renew(term) else 0.0
        except (TimeoutError, Unavailable):
            return held_until  # it is good for a while yet

    async def _take(self) -> int | None:
        """The number of a new term; None while another server has the lease."""
        now, lease = sa.func.clock_timestamp(), timedelta(seconds=self._lease_s)
        taken = postgresql.insert(Lease).values(name=self._name, node_id=self._node_id, term=1, expires_at=now + lease)
        taken = taken.on_conflict_do_update(
            index_elements=[Lease.name],
            set_={"node_id": self._node_id, "term": Lease.term + 1, "expires_at": now + lease},
            where=Lease.expires_at < now,
        )
        too_long = sa.update(Lease).where(Lease.name == self._name, Lease.expires_at > now + lease)
        async with self._db.write() as session:
            number: int | None = await session.scalar(taken.returning(Lease.term))
            if number is None:  # if the database's clock was set back, a dead server would lead for hours
                await session.execute(too_long.values(expires_at=now + lease))
            return number

    async def _renew(self, term: Term) -> bool:
        """Whether the lease is still this node's."""
        until = sa.func.clock_timestamp() + timedelta(seconds=self._lease_s)
        async with self._db.write() as session:
            query = sa.update(Lease).where(*_is(term)).values(expires_at=until).returning(Lease.term)
            return await session.scalar(query) is not None

    async def _release(self, term: Term) -> None:
        """Let another server take over at once; if that cannot be said now, it does when the lease is over."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_RELEASE_S), self._db.write() as session:
                over = sa.update(Lease).where(*_is(term)).values(expires_at=sa.func.clock_timestamp())
                await session.execute(over)


def _is(term: Term) -> tuple[sa.ColumnElement[bool], ...]:
    return Lease.name == term.name, Lease.node_id == term.node_id, Lease.term == term.number
