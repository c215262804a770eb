"""One server at a time leads; who was deposed writes nothing, and nobody begins before the one before has committed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.db import Database
from app.leading import Deposed, Leadership, Lease, Term
from tests.support.node import eventually

SHORT_S = 0.6
LONG_S = 600.0


class Work:
    """Work that lasts until it is cancelled."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.running = False

    async def __call__(self, term: Term) -> None:
        self.terms.append(term)
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False


@contextlib.asynccontextmanager
async def standing(leadership: Leadership, work: Callable[[Term], object]) -> AsyncIterator[None]:
    task = asyncio.create_task(leadership.lead(work))  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def expire(db: Database, name: str = "chores") -> None:
    """As if the server that has the lease had not renewed it in time."""
    async with db.write() as session:
        past = sa.func.clock_timestamp() - timedelta(seconds=1)
        await session.execute(sa.update(Lease).where(Lease.name == name).values(expires_at=past))


async def test_the_only_server_leads_at_once_and_what_it_confirms_is_committed(db: Database) -> None:
    work = Work()
    leadership = Leadership(db, "chores", node_id="a")
    async with standing(leadership, work):
        await eventually(lambda: work.running)
        async with db.write() as session:
            await work.terms[0].confirm(session)
        assert leadership.term == work.terms[0]
    assert not work.running


async def test_work_that_ends_ends_the_lead_and_its_error_is_raised(db: Database) -> None:
    async def done(_term: Term) -> None:
        return

    async def broken(_term: Term) -> None:
        raise ValueError("broken")

    leadership = Leadership(db, "chores", node_id="a")
    await leadership.lead(done)
    with pytest.raises(ValueError, match="broken"):
        await leadership.lead(broken)


@pytest.mark.databases("postgresql")
async def test_of_two_servers_one_leads_and_the_other_follows_as_soon_as_it_stops(db: Database) -> None:
    works = [Work(), Work()]
    first, second = (Leadership(db, "chores", node_id=name, lease_s=SHORT_S) for name in "ab")
    async with standing(second, works[1]):
        async with standing(first, works[0]), standing(Leadership(db, "other", node_id="a"), other := Work()):
            await eventually(lambda: other.running and (works[0].running or works[1].running))
            await asyncio.sleep(2 * SHORT_S)  # what is tested is what happens in it
            assert [work.running for work in works].count(True) <= 1
        await eventually(lambda: works[1].running)
    numbers = sorted(term.number for work in works for term in work.terms)
    assert numbers == list(range(1, len(numbers) + 1)), "each term has a number of its own"


@pytest.mark.databases("postgresql")
async def test_a_server_that_stops_gives_its_lease_back(db: Database) -> None:
    work = Work()
    async with standing(Leadership(db, "chores", node_id="a", lease_s=LONG_S), Work()) as _:
        await eventually(lambda: _held(db, "a"))
    async with standing(Leadership(db, "chores", node_id="b", lease_s=LONG_S), work):
        await eventually(lambda: work.running)
    assert work.terms[0].number == 2


async def _held(db: Database, node_id: str) -> bool:
    async with db.read() as session:
        return await session.scalar(sa.select(Lease.node_id)) == node_id


@pytest.mark.databases("postgresql")
async def test_fault_22_who_was_paused_past_its_lease_writes_nothing_for_it(db: Database) -> None:
    paused = Work()
    async with standing(Leadership(db, "chores", node_id="a", lease_s=LONG_S), paused):
        await eventually(lambda: paused.running)
        await expire(db)
        successor = Work()
        async with standing(Leadership(db, "chores", node_id="b", lease_s=LONG_S), successor):
            await eventually(lambda: successor.running)
            with pytest.raises(Deposed):
                async with db.write() as session:
                    await paused.terms[0].confirm(session)
            async with db.write() as session:
                await successor.terms[0].confirm(session)


@pytest.mark.databases("postgresql")
async def test_a_successor_begins_after_what_was_confirmed_is_committed(db: Database) -> None:
    before, after = Work(), Work()
    async with standing(Leadership(db, "chores", node_id="a", lease_s=SHORT_S), before):
        await eventually(lambda: before.running)
        async with db.write() as session:
            await before.terms[0].confirm(session)
            async with standing(Leadership(db, "chores", node_id="b", lease_s=SHORT_S), after):
                await eventually(lambda: not before.running)  # its renewals wait as well: it knows that it is late
                assert not after.terms
                await session.commit()
                await eventually(lambda: bool(after.terms) or len(before.terms) > 1)
                assert min(term.number for term in (before.terms[1:] + after.terms)) > before.terms[0].number


@pytest.mark.databases("postgresql")
async def test_fault_10_a_clock_that_was_set_back_keeps_no_dead_leader(db: Database) -> None:
    async with db.write() as session:
        later = sa.func.clock_timestamp() + timedelta(hours=1)
        await session.execute(sa.insert(Lease).values(name="chores", node_id="dead", term=7, expires_at=later))
    work = Work()
    async with standing(Leadership(db, "chores", node_id="a", lease_s=SHORT_S), work):
        await eventually(lambda: work.running)
    assert work.terms[0].number == 8
