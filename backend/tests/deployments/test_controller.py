"""The controller by itself: hints wake it, lost ones cost little, one deployment does not stop another, and whatever
transaction it is killed at, it ends as if nothing had been."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.accounts.principal import Principal
from app.clock import utcnow
from app.db import Database
from app.deployments import controller as controlling
from app.deployments.controller import Controller
from app.deployments.models import Deployment, DeploymentTarget
from app.deployments.retention import DeploymentRetention
from app.hints import Hint, HintKind
from app.leading import Leadership
from app.settings import Settings
from app.tasks.models import Run, Task
from app.uow import Unit, UnitOfWork
from deployx_protocol.deployments import DeploymentState
from tests.support.node import Lines, eventually
from tests.support.rollouts import NODE, Rollout

from .conftest import MakePrincipal


@pytest.fixture
async def ada(somebody: MakePrincipal) -> Principal:
    return await somebody()


@contextlib.asynccontextmanager
async def controlled(rollout: Rollout, hints: list[Hint], measured: dict[str, int]) -> AsyncIterator[Controller]:
    """The controller at work; hints go to it as soon as they are published."""
    made = Controller(
        rollout.db, rollout.rounds, Leadership(rollout.db, "deployments", node_id=NODE), measured=measured.__setitem__
    )

    async def pass_on() -> None:
        told = 0
        while True:
            made.hinted(hints[told:])
            told = len(hints)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(made.run()), asyncio.create_task(pass_on())]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.databases("sqlite")
async def test_hints_wake_it_and_it_counts_what_it_watches(
    rollout: Rollout, ada: Principal, hints: list[Hint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controlling, "NET_S", 600.0)
    await rollout.release()
    ids = await rollout.devices(4, ada.user_id)
    measured: dict[str, int] = {}
    async with controlled(rollout, hints, measured):
        id = await rollout.create(ada, ids, strategy={"waves": ["1", "100%"]})
        for size in (1, 3):
            given = await eventually(rollout.deliver, what="tasks")
            assert len(given) == size
            assert measured["running"] == 1
            await rollout.finish(given)
        await eventually(lambda: _over(rollout, id))
        await eventually(lambda: measured["running"] == 0)


@pytest.mark.databases("sqlite")
async def test_without_any_hint_it_goes_on_all_the_same(
    rollout: Rollout, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controlling, "NET_S", 0.05)
    await rollout.release()
    ids = await rollout.devices(2, ada.user_id)
    async with controlled(rollout, [], {}):
        id = await rollout.create(ada, ids)
        await rollout.finish(await eventually(rollout.deliver, what="tasks"))
        await eventually(lambda: _over(rollout, id))


@pytest.mark.databases("sqlite")
async def test_one_that_cannot_be_gone_on_with_stops_none_of_the_others(
    rollout: Rollout, ada: Principal, hints: list[Hint], lines: Lines
) -> None:
    await rollout.release()
    ids = await rollout.devices(2, ada.user_id)
    broken = await rollout.create(ada, ids[:1])
    async with rollout.db.write() as session:
        await session.execute(sa.update(Deployment).where(Deployment.id == broken).values(strategy={"waves": 1}))
    good = await rollout.create(ada, ids[1:])
    async with controlled(rollout, hints, {}):
        await rollout.finish(await eventually(rollout.deliver, what="tasks"))
        await eventually(lambda: _over(rollout, good))
    assert any("deployment.stuck" in line and broken in line for line in lines())


class Killed(BaseException):
    """The process is gone."""


class Mortal(UnitOfWork):
    """Units of which the ``last``-th ends the process, before its commit or after it, and nobody hears of it."""

    def __init__(self, db: Database, last: int, *, committed: bool) -> None:
        super().__init__(db, lambda _hints: None)
        self.left, self.committed = last, committed

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        self.left -= 1
        async with super().begin() as unit:
            yield unit
            if self.left == 0 and not self.committed:
                await unit.session.flush()
                raise Killed
        if self.left == 0:
            raise Killed


async def _killed_at(rollout: Rollout, ada: Principal, ids: list[int], point: int, *, committed: bool) -> bool:
    """A deployment whose controller is killed at one transaction and started again; whether it got so far."""
    id = await rollout.create(ada, ids, strategy={"waves": ["1", "100%"], "on_failure": "roll_back"})
    sound, mortal = rollout.rounds._uow, Mortal(rollout.db, point, committed=committed)
    died = False
    rollout.rounds._uow = mortal
    for _ in range(12):
        for attempt in (1, 2):
            try:
                await rollout.turn(id)
                break
            except Killed:
                assert attempt == 1
                died, rollout.rounds._uow = True, sound
        if await _over(rollout, id):
            break
        given = await rollout.deliver()
        assert len({device for device, _ in given}) == len(given), "a device was given two tasks at once"
        good = [one for one in given if one[0] != ids[-1] or one[1].release.action == "revert"]  # type: ignore[union-attr]
        bad = [one for one in given if one not in good]
        reverting = [one for one in good if one[1].release and one[1].release.action == "revert"]
        await rollout.finish(reverting, outcome="reverted")
        await rollout.finish([one for one in good if one not in reverting])
        await rollout.finish(bad, state="failed", exit_code=1, outcome="reverted", code="release_unhealthy")
    rollout.rounds._uow = sound
    assert await rollout.state(id) is DeploymentState.ROLLED_BACK
    assert await rollout.counts(id) == {"rolled_back": len(ids)}
    async with rollout.db.read() as session:
        tasks = sa.select(sa.func.count()).select_from(Task).join(Run).where(Run.user_id == ada.user_id)
        mine = tasks.where(Run.id.in_(sa.select(Deployment.install_run_id).where(Deployment.id == id)))
        assert await session.scalar(mine) == len(ids), "somebody was given a task twice, or none"
    return died


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("committed", [False, True])
async def test_killed_at_some_transactions(rollout: Rollout, ada: Principal, committed: bool) -> None:
    await rollout.release()
    ids = await rollout.devices(3, ada.user_id)
    assert all([await _killed_at(rollout, ada, ids, point, committed=committed) for point in (2, 5, 9)])


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("committed", [False, True])
async def test_killed_at_every_transaction(rollout: Rollout, ada: Principal, committed: bool) -> None:
    await rollout.release()
    ids = await rollout.devices(3, ada.user_id)
    point = 1
    while await _killed_at(rollout, ada, ids, point, committed=committed):
        point += 1
    assert point > 15


async def test_what_has_been_over_for_long_is_forgotten_with_its_runs(
    rollout: Rollout, ada: Principal, tmp_path: Path
) -> None:
    await rollout.release()
    ids = await rollout.devices(2, ada.user_id)
    old = await rollout.create(ada, ids)
    await rollout.go_on(old)
    new = await rollout.create(ada, ids)
    await rollout.go_on(new)
    async with rollout.db.write() as session:
        past = utcnow() - timedelta(days=31)
        await session.execute(sa.update(Deployment).where(Deployment.id == old).values(finished_at=past))
    settings = Settings(data_dir=tmp_path, database_url=str(rollout.db.url), deployment_retention_days=30)
    await DeploymentRetention(rollout.db, settings).prune()
    async with rollout.db.read() as session:
        assert list(await session.scalars(sa.select(Deployment.id))) == [new]
        assert await session.scalar(sa.select(sa.func.count()).select_from(Run)) == 1
        assert await session.scalar(sa.select(sa.func.count()).select_from(Task)) == 2
        assert await session.scalar(sa.select(sa.func.count()).select_from(DeploymentTarget)) == 2


@pytest.mark.databases("sqlite")
async def test_hints_name_what_changed(rollout: Rollout, ada: Principal, hints: list[Hint]) -> None:
    await rollout.release()
    id = await rollout.create(ada, await rollout.devices(1, ada.user_id))
    [target] = await rollout.targets(id)
    hints.clear()
    await rollout.turn(id)
    kinds = {hint.kind for hint in hints}
    assert {HintKind.DEPLOYMENT, HintKind.DEPLOYMENT_TARGET, HintKind.TASKS_WAITING} <= kinds
    assert {hint.task_id for hint in hints if hint.kind is HintKind.DEPLOYMENT_TARGET} == {target.id}


async def _over(rollout: Rollout, id: str) -> bool:
    return (await rollout.row(id)).finished_at is not None
