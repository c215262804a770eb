"""Firing: once for each time, whoever looks and whenever a server is killed; late, beside others, with which rights."""

import asyncio
from datetime import timedelta
from unittest import mock

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.accounts.permissions import Role
from app.audit.models import AuditEntry
from app.deployments.models import Deployment
from app.deployments.starting import Starting
from app.devices.models import Device
from app.errors import Conflict, Unavailable
from app.schedules.actions import DeploymentStarter, RunStarter
from app.schedules.models import FiringState, ScheduleState
from app.tasks.models import Task
from deployx_protocol.messages import TAKES_RELEASES
from tests.support.rollouts import release_row

from .conftest import DAY, Bench


async def test_each_time_is_fired_once_and_the_next_is_set(bench: Bench) -> None:
    made = await bench.make()
    assert made.next_due_at == DAY + timedelta(hours=1)
    assert await bench.firings.turn() == DAY + timedelta(hours=1)
    assert await bench.fired() == []
    for hour in (1, 2):
        bench.clock.now = DAY + timedelta(hours=hour, seconds=3)
        assert await bench.firings.turn() == DAY + timedelta(hours=hour + 1)
        assert await bench.firings.turn() == DAY + timedelta(hours=hour + 1)
        await bench.end_runs()
    runs = await bench.started()
    assert [(one.due_at, one.state, one.run_id) for one in await bench.fired()] == [
        (DAY + timedelta(hours=hour), FiringState.STARTED, run.id) for hour, run in zip((1, 2), runs, strict=True)
    ]
    assert {run.created_by for run in runs} == {"bob@example.test"}
    async with bench.db.read() as session:
        started = sa.select(AuditEntry.via).where(AuditEntry.action == "run.started")
        assert set(await session.scalars(started)) == {f"schedule {made.id}"}


async def test_a_single_time_is_fired_and_over(bench: Bench) -> None:
    made = await bench.make(at=DAY + timedelta(minutes=5))
    bench.clock.now = DAY + timedelta(minutes=5)
    assert await bench.firings.turn() is None
    row = await bench.row(made.id)
    assert (row.state, row.next_due_at, len(await bench.started())) == (ScheduleState.DONE, None, 1)


async def test_servers_that_look_at_the_same_time_fire_once(bench: Bench) -> None:
    for number in range(5):
        await bench.make(name=f"s{number}")
    bench.clock.now = DAY + timedelta(hours=1)
    await asyncio.gather(*(bench.other().turn() for _ in range(4)))
    await bench.firings.turn()
    assert len(await bench.started()) == 5
    assert [one.state for one in await bench.fired()] == [FiringState.STARTED] * 5


async def test_a_server_killed_before_the_start_leaves_it_to_the_next(bench: Bench) -> None:
    await bench.make()
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.take_up()  # and killed
    assert [one.state for one in await bench.fired()] == [FiringState.STARTING]
    assert await bench.started() == []
    await bench.other().turn()
    assert [one.state for one in await bench.fired()] == [FiringState.STARTED]
    assert len(await bench.started()) == 1


async def test_a_server_killed_after_the_start_does_not_start_twice(bench: Bench) -> None:
    made = await bench.make()
    bench.clock.now = DAY + timedelta(hours=1)
    with (
        mock.patch.object(bench.firings, "_end", side_effect=asyncio.CancelledError),
        pytest.raises(asyncio.CancelledError),
    ):
        await bench.firings.turn()
    [run] = await bench.started()
    # even if what is to be done was changed meanwhile, and its owner may do nothing any more
    await bench.service.change(bench.bob, made.id, bench.wanted(cron="5 * * * *", name="changed"), None)
    async with bench.db.write() as session:
        await session.execute(sa.update(User).values(role=Role.VIEWER))
    bench.clock.advance(minutes=1)
    await bench.other().turn()
    [firing] = await bench.fired()
    assert (firing.state, firing.run_id) == (FiringState.STARTED, run.id)
    assert len(await bench.started()) == 1


async def test_two_servers_that_start_the_same_firing_start_one_run(bench: Bench) -> None:
    await bench.make()
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.take_up()
    [firing] = await bench.fired()
    ends = await asyncio.gather(*(bench.other().finish(firing.id) for _ in range(4)))
    assert set(ends) == {FiringState.STARTED}
    assert len(await bench.started()) == 1


async def test_a_database_that_is_away_refuses_nothing(bench: Bench) -> None:
    await bench.make()
    bench.clock.now = DAY + timedelta(hours=1)
    with (
        mock.patch.object(RunStarter, "start", side_effect=Unavailable("away")),
        pytest.raises(Unavailable),
    ):
        await bench.firings.turn()
    assert [one.state for one in await bench.fired()] == [FiringState.STARTING]
    await bench.firings.turn()
    assert [one.state for one in await bench.fired()] == [FiringState.STARTED]


async def test_one_that_fails_does_not_keep_the_others(bench: Bench) -> None:
    await bench.make()
    await bench.make(name="other", cron="0 1 * * *", overlap="start")
    bench.clock.now = DAY + timedelta(hours=1)
    whole = RunStarter.start

    async def fails(self: RunStarter, *given: object) -> object:
        if not await bench.started():
            async with bench.db.read() as session:
                assert await session.scalar(sa.select(sa.literal(1)))
            if not fails.done:  # type: ignore[attr-defined]
                fails.done = True  # type: ignore[attr-defined]
                raise RuntimeError("a bug")
        return await whole(self, *given)  # type: ignore[arg-type]

    fails.done = False  # type: ignore[attr-defined]
    with mock.patch.object(RunStarter, "start", fails):
        await bench.firings.turn()
    assert sorted(one.state for one in await bench.fired()) == [FiringState.REFUSED, FiringState.STARTED]


# ---------------------------------------------------------------- late


async def test_after_an_outage_the_last_time_is_made_up_for_and_the_others_counted(bench: Bench) -> None:
    await bench.make()
    bench.clock.now = DAY + timedelta(hours=5, minutes=20)
    await bench.firings.turn()
    missed, started = await bench.fired()
    assert (missed.due_at, missed.state, missed.missed) == (DAY + timedelta(hours=4), FiringState.MISSED, 4)
    assert (started.due_at, started.state) == (DAY + timedelta(hours=5), FiringState.STARTED)
    assert len(await bench.started()) == 1


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize(
    ("fields", "late"),
    [
        ({"missed": "skip"}, timedelta(seconds=61)),
        ({"missed": "once", "grace_s": 600}, timedelta(seconds=601)),
        (
            {"windows": [{"start": "00:30", "end": "01:10"}], "grace_s": 3600},
            timedelta(minutes=11),
        ),
    ],
)
async def test_too_late_is_missed(bench: Bench, fields: dict[str, object], late: timedelta) -> None:
    await bench.make(**fields)
    bench.clock.now = DAY + timedelta(hours=1) + late
    await bench.firings.turn()
    [firing] = await bench.fired()
    assert (firing.state, firing.missed, await bench.started()) == (FiringState.MISSED, 1, [])
    assert "No server was running then" in firing.reason


@pytest.mark.databases("sqlite")
async def test_a_little_late_is_on_time(bench: Bench) -> None:
    await bench.make(missed="skip")
    bench.clock.now = DAY + timedelta(hours=1, seconds=59)
    await bench.firings.turn()
    assert [one.state for one in await bench.fired()] == [FiringState.STARTED]


@pytest.mark.databases("sqlite")
async def test_a_firing_left_for_long_is_missed_rather_than_started_out_of_the_blue(bench: Bench) -> None:
    await bench.make(grace_s=600)
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.take_up()
    bench.clock.advance(seconds=601)
    await bench.firings.turn()
    assert [one.state for one in await bench.fired()] == [FiringState.MISSED]
    assert await bench.started() == []


async def test_a_week_of_minutes_is_one_row_and_one_run(bench: Bench) -> None:
    await bench.make(cron="* * * * *")
    bench.clock.now = DAY + timedelta(days=7, seconds=1)
    await bench.firings.turn()
    missed, started = await bench.fired()
    assert (started.due_at, started.state) == (DAY + timedelta(days=7), FiringState.STARTED)
    assert missed.due_at == DAY + timedelta(days=7, minutes=-1)
    assert missed.missed >= 5_000


# ---------------------------------------------------------------- in parallel


@pytest.mark.databases("sqlite")
async def test_what_is_not_over_is_not_started_beside_itself(bench: Bench) -> None:
    await bench.make()
    for hour in (1, 2):
        bench.clock.now = DAY + timedelta(hours=hour)
        await bench.firings.turn()
    first, second = await bench.fired()
    assert (first.state, second.state) == (FiringState.STARTED, FiringState.SKIPPED)
    assert "not over" in second.reason
    await bench.end_runs()
    bench.clock.now = DAY + timedelta(hours=3)
    await bench.firings.turn()
    assert len(await bench.started()) == 2


@pytest.mark.databases("sqlite")
async def test_unless_it_may_be(bench: Bench) -> None:
    await bench.make(overlap="start")
    for hour in (1, 2):
        bench.clock.now = DAY + timedelta(hours=hour)
        await bench.firings.turn()
    assert len(await bench.started()) == 2


# ---------------------------------------------------------------- with which rights


@pytest.mark.parametrize(
    ("change", "says"),
    [({"role": Role.VIEWER}, "viewer"), ({"disabled_at": DAY}, "shut out")],
)
async def test_threat_15_a_schedule_does_no_more_than_its_owner_may_now(
    bench: Bench, change: dict[str, object], says: str
) -> None:
    await bench.make()
    async with bench.db.write() as session:
        await session.execute(sa.update(User).where(User.id == bench.bob.user_id).values(**change))
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.turn()
    [firing] = await bench.fired()
    assert (firing.state, await bench.started()) == (FiringState.REFUSED, [])
    assert says in firing.reason
    async with bench.db.read() as session:
        refused = sa.select(AuditEntry.object_name).where(AuditEntry.action == "schedule.refused")
        assert list(await session.scalars(refused)) == ["hourly"]


async def test_the_selector_is_evaluated_each_time_within_what_its_owner_sees(bench: Bench) -> None:
    request = {"command": ["uptime"], "targets": {"selector": "platform=linux"}}
    await bench.make(action={"kind": "run", "request": request}, overlap="start")
    async with bench.db.write() as session:
        await session.execute(sa.update(Device).values(platform="linux", user_id=None))
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.turn()
    assert [(one.state, one.reason) for one in await bench.fired()] == [(FiringState.REFUSED, "No device matches.")]
    async with bench.db.write() as session:
        await session.execute(sa.update(Device).values(user_id=bench.bob.user_id))
    bench.clock.now = DAY + timedelta(hours=2)
    await bench.firings.turn()
    async with bench.db.read() as session:
        assert list(await session.scalars(sa.select(Task.device_id))) == [bench.device_id]


# ---------------------------------------------------------------- by hand, and while something is due


async def test_start_now_starts_once_and_leaves_the_times_alone(bench: Bench) -> None:
    made = await bench.make()
    first = await bench.service.start_now(bench.bob, made.id, "key")
    again = await bench.service.start_now(bench.bob, made.id, "key")
    assert (first.id, first.state, first.by_hand) == (again.id, FiringState.STARTED, True)
    assert len(await bench.started()) == 1
    with pytest.raises(Conflict):
        await bench.service.start_now(bench.bob, made.id, None)
    assert (await bench.row(made.id)).next_due_at == DAY + timedelta(hours=1)


async def test_a_change_does_not_swallow_a_time_that_has_come(bench: Bench) -> None:
    made = await bench.make()
    bench.clock.now = DAY + timedelta(hours=1, seconds=1)
    await bench.service.change(bench.bob, made.id, bench.wanted(cron="30 * * * *"), made.rev)
    await bench.firings.turn()
    assert [one.due_at for one in await bench.fired()] == [DAY + timedelta(hours=1)]
    assert (await bench.row(made.id)).next_due_at == DAY + timedelta(hours=1, minutes=30)


async def test_what_passes_during_a_pause_is_not_made_up_for(bench: Bench) -> None:
    made = await bench.make(grace_s=86_400)
    await bench.service.pause(bench.bob, made.id)
    bench.clock.now = DAY + timedelta(hours=3, minutes=30)
    assert await bench.firings.turn() is None
    resumed = await bench.service.resume(bench.bob, made.id)
    assert (resumed.next_due_at, await bench.fired()) == (DAY + timedelta(hours=4), [])


async def test_a_clock_that_goes_back_fires_nothing_again(bench: Bench) -> None:
    made = await bench.make(overlap="start")
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.turn()
    bench.clock.now = DAY + timedelta(minutes=30)
    await bench.service.pause(bench.bob, made.id)
    await bench.service.resume(bench.bob, made.id)
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.turn()
    assert len(await bench.started()) == 1


async def test_history_is_kept_for_a_while(bench: Bench) -> None:
    made = await bench.make(overlap="start")
    bench.clock.now = DAY + timedelta(hours=1)
    await bench.firings.turn()
    bench.clock.now = DAY + timedelta(days=20, hours=1)
    await bench.firings.turn()
    bench.clock.now = DAY + timedelta(days=31)
    await bench.service.prune()
    kept, _ = await bench.service.history(bench.bob, made.id, limit=10, cursor=None)
    assert {one.due_at >= DAY + timedelta(days=1) for one in kept} == {True}
    assert len(kept) == 2


@pytest.mark.parametrize(("following", "state"), [(False, "running"), (True, "awaiting_approval")])
async def test_a_deployment_is_started_as_a_run_is_and_waits_for_a_second_person_as_any(
    bench: Bench, following: bool, state: str
) -> None:
    starting = Starting(bench.uow, bench.db, lambda: (), approve_above=1, clock=bench.clock)
    release = release_row()
    async with bench.db.write() as session:
        session.add(release)
        await session.execute(sa.update(Device).values(platform="linux", facts=dict(TAKES_RELEASES)))
    for firings in (bench.firings, bench.service._firings):
        firings._starters = {**firings._starters, "deployment": DeploymentStarter(starting)}
    bench.service._starters = bench.firings._starters
    request = {"release": "web@1.0", "targets": {"selector": "platform=linux"}, "following": following}
    made = await bench.make(action={"kind": "deployment", "request": request})
    assert (made.what, made.action.kind) == ("web@1.0", "deployment")
    for hour in (1, 2):
        bench.clock.now = DAY + timedelta(hours=hour)
        await bench.firings.turn()
        await bench.firings.turn()
    first, second = await bench.fired()
    async with bench.db.read() as session:
        [deployment] = await session.scalars(sa.select(Deployment))
    assert (first.state, first.deployment_id, first.run_id) == (FiringState.STARTED, deployment.id, None)
    assert (deployment.created_by, deployment.total, deployment.state) == ("bob@example.test", 1, state)
    assert (second.state, second.deployment_id) == (FiringState.SKIPPED, None)
