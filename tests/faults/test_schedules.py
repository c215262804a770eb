"""Two servers on one PostgreSQL fire the same schedules, and the one that leads is killed: one run for each time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.ids import new_id
from app.leading import Lease
from app.schedules.models import Firing, Schedule
from app.tasks.models import Run
from tests.conftest import Operate
from tests.support import rows
from tests.support.node import eventually
from tests.support.server_process import ServerProcess
from tests.support.zygote import Zygotes

TIMES = 12
APART_S = 0.5


@pytest.fixture
async def two(database_url: str, tmp_path: Path, zygotes: Zygotes) -> AsyncIterator[list[ServerProcess]]:
    """Two servers, each in a process of its own."""
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        settings = {"node_lease": 3, "secret_key": "0123456789abcdef" * 4}
        made.append(ServerProcess(tmp_path / name, database_url, zygotes.of("server"), **settings))
    try:
        for server in made:
            await server.start()
        yield made
    finally:
        for server in made:
            await server.tidy()


def schedule(number: int, user_id: int) -> Schedule:
    """A run at a time that is near, as the API saves it."""
    now = datetime.now(UTC)
    at = now + timedelta(seconds=3 + number * APART_S)
    request = {"command": ["true"], "targets": {"selector": "*"}}
    return Schedule(
        id=new_id(),
        user_id=user_id,
        name=f"s{number}",
        action={"kind": "run", "request": request},
        at=at,
        timezone="UTC",
        windows=[],
        missed="once",
        grace_s=3600,
        overlap="skip",
        state="active",
        next_due_at=at,
        created_at=now,
        updated_at=now,
    )


async def leader(server: ServerProcess) -> str:
    """Which node fires schedules; empty while none does."""
    async with server.db.read() as session:
        return await session.scalar(sa.select(Lease.node_id).where(Lease.name == "schedules")) or ""


@pytest.mark.databases("postgresql")
@pytest.mark.timeout(300)
async def test_fault_22_each_time_is_fired_once_when_the_server_that_fires_is_killed(
    two: list[ServerProcess], operate: Operate
) -> None:
    first, second = two
    operator = await operate(second)
    async with first.db.write() as session:
        session.add(rows.device(1, user_id=operator.person.id))
    before = await eventually(lambda: leader(first), what="a server that fires")
    async with first.db.write() as session:
        session.add_all([schedule(number, operator.person.id) for number in range(TIMES)])

    async def runs() -> int:
        async with second.db.read() as session:
            return await session.scalar(sa.select(sa.func.count()).select_from(Run)) or 0

    await eventually(runs, within_s=60, what="the first run")
    await first.kill()

    async def all_fired() -> bool:
        return await runs() >= TIMES

    await eventually(all_fired, within_s=90, what="a run for each time")

    async def settled() -> list[Any]:
        async with second.db.read() as session:
            found = list(await session.execute(sa.select(Firing.schedule_id, Firing.state, Firing.run_id)))
        return found if len(found) == TIMES and all(one.state == "started" for one in found) else []

    fired = await eventually(settled, what="each firing is settled")
    assert len({one.schedule_id for one in fired}) == len({one.run_id for one in fired}) == TIMES == await runs()
    assert before
