"""Deployments from their first device to their end, through the server's own services, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.accounts.principal import Principal
from app.audit.models import AuditEntry
from app.deployments import joining
from app.deployments.planner import CORRELATED
from app.devices.models import Device
from app.devices.scope import EVERYONE
from app.tasks import runs_repository
from app.tasks.models import Run, Task
from app.tasks.reaper import ReaperService
from deployx_protocol.deployments import DeploymentState, TargetState
from deployx_protocol.tasks import TaskCode
from tests.support.rollouts import Rollout
from tests.support.server import ManualClock

from .conftest import MakePrincipal

# What a database could make different is tried on both; the rest costs as much again and shows nothing more.
pytestmark = pytest.mark.databases("sqlite")
BOTH = pytest.mark.databases("sqlite", "postgresql")


@pytest.fixture
async def ada(somebody: MakePrincipal) -> Principal:
    return await somebody()


@pytest.fixture
async def ten(rollout: Rollout, ada: Principal) -> list[int]:
    """Ten devices of ada's, and a release."""
    await rollout.release()
    return await rollout.devices(10, ada.user_id)


@BOTH
async def test_waves_open_one_after_the_other_and_it_succeeds(rollout: Rollout, ada: Principal, ten: list[int]) -> None:
    id = await rollout.create(ada, ten, strategy={"waves": ["1", "40%", "100%"]})
    sizes = []
    for _ in range(3):
        await rollout.turn(id)
        given = await rollout.deliver()
        sizes.append(len(given))
        assert all(task.release and task.release.action == "install" for _, task in given)
        await rollout.finish(given)
    await rollout.turn(id)
    assert sizes == [1, 3, 6]
    assert await rollout.state(id) is DeploymentState.SUCCEEDED
    assert await rollout.counts(id) == {"succeeded": 10}
    kinds = [kind for kind, _ in await rollout.log(id)]
    assert kinds == ["created", *["wave_opened", "gate_met"] * 3, "ended"]


async def test_never_more_in_flight_than_max_parallel(rollout: Rollout, ada: Principal, ten: list[int]) -> None:
    id = await rollout.create(ada, ten, strategy={"max_parallel": 3})
    for expected in (3, 3, 3, 1):
        await rollout.turn(id)
        given = await rollout.deliver()
        assert len(given) == expected
        await rollout.finish(given)
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.SUCCEEDED


@BOTH
async def test_a_failure_stops_it_and_what_is_in_flight_ends(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    id = await rollout.create(ada, ten, strategy={"waves": ["4", "100%"], "soak_s": 60})
    await rollout.turn(id)
    first, *others = await rollout.deliver()
    await rollout.finish(
        [first], state="failed", exit_code=1, outcome="untouched", code="release_failed", message="No."
    )
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.PAUSED
    assert (await rollout.row(id)).reason == "1 device failed, and 0 may"
    await rollout.finish(others)
    await rollout.turn(id)
    assert await rollout.deliver() == [] and await rollout.counts(id) == {"failed": 1, "succeeded": 3, "pending": 6}
    wave = (await rollout.reader.one(ada, id)).waves[0]
    assert (wave.state, wave.soak_until) == ("failed", None)
    assert wave.gate.sentence == "4 of 4 over, 1 failed; the next wave does not open while the deployment is paused."
    await rollout.steering.resume(ada, id, "seen")
    await rollout.go_on(id)
    clock.advance(seconds=60)
    await rollout.go_on(id)
    assert await rollout.state(id) is DeploymentState.FAILED
    await rollout.steering.retry(ada, id, [TargetState.FAILED], "")
    await rollout.go_on(id)
    assert await rollout.state(id) is DeploymentState.SUCCEEDED


@BOTH
async def test_on_failure_all_that_have_it_go_back(rollout: Rollout, ada: Principal, ten: list[int]) -> None:
    id = await rollout.create(ada, ten, strategy={"waves": ["5", "100%"], "on_failure": "roll_back"})
    await rollout.turn(id)
    *good, bad = await rollout.deliver()
    await rollout.finish(good)
    await rollout.finish(
        [bad], state="failed", exit_code=1, outcome="reverted", code="release_unhealthy", message="Sick."
    )
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.ROLLING_BACK
    given = await rollout.deliver()
    assert {device for device, _ in given} == {device for device, _ in good}
    assert all(task.release and task.release.action == "revert" for _, task in given)
    await rollout.finish(given, outcome="reverted")
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.ROLLED_BACK
    assert await rollout.counts(id) == {"rolled_back": 5, "skipped": 5}


async def test_what_had_it_before_is_left_alone_when_it_goes_back(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten[:2])
    await rollout.turn(id)
    had, got = await rollout.deliver()
    await rollout.finish([had], outcome="already")
    await rollout.finish([got])
    await rollout.turn(id)
    await rollout.steering.roll_back(ada, id, "")
    await rollout.turn(id)
    given = await rollout.deliver()
    assert [device for device, _ in given] == [got[0]]
    await rollout.finish(given, outcome="revert_failed", state="failed", exit_code=1, message="Its disk is full.")
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.ROLLED_BACK
    view = await rollout.reader.one(ada, id)
    assert view.attention == 1 and view.counts == {"succeeded": 1, "failed": 1}


@pytest.mark.parametrize("state", ["interrupted", "lost"])
async def test_what_nobody_can_vouch_for_is_tried_again_and_not_for_ever(
    rollout: Rollout, ada: Principal, ten: list[int], state: str
) -> None:
    id = await rollout.create(ada, ten[:1], strategy={"attempts": 2})
    await rollout.turn(id)
    await rollout.finish(await rollout.deliver(), state=state, exit_code=None, outcome="", code="agent_killed")
    await rollout.turn(id)
    again = await rollout.deliver()
    assert len(again) == 1
    await rollout.finish(again, state=state, exit_code=None, outcome="", code="agent_killed")
    await rollout.turn(id)
    assert await rollout.deliver() == []
    [target] = await rollout.targets(id)
    assert (target.state, target.attempts, target.touched) == ("failed", 2, True)


@pytest.mark.databases("sqlite")
async def test_what_went_back_because_its_agent_was_killed_is_tried_again_and_not_for_ever(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten[:2], strategy={"attempts": 2})
    killed = {"state": "interrupted", "exit_code": None, "outcome": "reverted", "code": "agent_killed"}
    await rollout.turn(id)
    await rollout.finish(await rollout.deliver(), **killed)
    await rollout.turn(id)
    once, twice = await rollout.deliver()
    await rollout.finish([once])
    await rollout.finish([twice], **killed)
    await rollout.turn(id)
    assert await rollout.deliver() == []
    assert await rollout.counts(id) == {"succeeded": 1, "rolled_back": 1}


async def test_a_second_try_that_finds_it_installed_is_undone_with_the_rest(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten[:1])
    await rollout.turn(id)
    await rollout.finish(await rollout.deliver(), state="interrupted", exit_code=None, outcome="", code="agent_killed")
    await rollout.turn(id)
    await rollout.finish(await rollout.deliver(), outcome="already")
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.SUCCEEDED
    await rollout.steering.roll_back(ada, id, "")
    await rollout.turn(id)
    assert len(await rollout.deliver()) == 1, "this deployment may have installed it"


async def test_phases_are_told_and_move_the_deadline(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    id = await rollout.create(ada, ten[:1])
    await rollout.turn(id)
    [(device, task)] = await rollout.deliver()
    await rollout.say([(device, task.task_id, {"state": "running"})])
    seen = []
    for phase, percent in [("fetching", 10), ("fetching", 60), ("installing", None), ("checking", None)]:
        clock.advance(seconds=500)
        fields: dict[str, Any] = {"state": "running", "phase": phase, "percent": percent}
        await rollout.say([(device, task.task_id, fields)])
        await rollout.turn(id)
        [target] = await rollout.targets(id)
        seen.append((target.state, target.phase, target.percent))
    assert seen == [
        ("downloading", "fetching", 10),
        ("downloading", "fetching", 60),
        ("installing", "installing", None),
        ("verifying", "checking", None),
    ]
    async with rollout.db.read() as session:
        row = await session.get_one(Task, task.task_id)
    assert row.deadline_at is not None and row.deadline_at > clock() + timedelta(seconds=600)


async def test_devices_that_went_back_for_want_of_a_server_pause_it_and_undo_nothing(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    strategy = {"failure_threshold": "8", "on_failure": "roll_back"}
    id = await rollout.create(ada, ten, strategy=strategy | {"waves": ["6", "100%"]})
    await rollout.turn(id)
    given = await rollout.deliver()
    why = {"state": "failed", "exit_code": None, "outcome": "reverted", "code": TaskCode.RELEASE_UNCONFIRMED.value}
    await rollout.finish(given[:CORRELATED], **why)
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.PAUSED
    assert "reached no server" in (await rollout.row(id)).reason
    await rollout.finish(given[CORRELATED:])
    await rollout.steering.resume(ada, id, "the server was down")
    await rollout.go_on(id)
    assert (await rollout.counts(id)) == {"rolled_back": CORRELATED, "succeeded": 8}


async def test_the_soak_time_is_waited_for_and_a_person_can_shorten_it(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    id = await rollout.create(ada, ten, strategy={"waves": ["1", "2", "100%"], "soak_s": 600})
    assert await rollout.go_on(id) == 1
    clock.advance(seconds=599)
    assert await rollout.go_on(id) == 0
    view = await rollout.reader.one(ada, id)
    assert view.waves[0].state == "soaking" and "promote" in view.actions
    await rollout.steering.pause(ada, id, "")
    held = (await rollout.reader.one(ada, id)).waves[0]
    assert (held.state, held.soak_until) == ("held", None)
    assert held.gate.sentence == "1 of 1 over; the next wave does not open while the deployment is paused."
    await rollout.steering.resume(ada, id, "")
    clock.advance(seconds=1)
    assert await rollout.go_on(id) == 1
    await rollout.steering.promote(ada, id, 2, "it is fine")
    assert await rollout.go_on(id) == 8
    assert (await rollout.reader.one(ada, id)).waves[1].promoted_by == ada.email


async def test_nothing_starts_outside_its_window(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    clock.now = clock.now.replace(hour=12, minute=0)
    window = {"begin": "13:00", "end": "14:00", "zone": "UTC"}
    id = await rollout.create(ada, ten, strategy={"window": window, "max_parallel": 5})
    assert await rollout.go_on(id) == 0
    clock.advance(minutes=61)
    await rollout.turn(id)
    given = await rollout.deliver()
    assert len(given) == 5
    clock.advance(minutes=70)
    await rollout.finish(given)
    assert await rollout.go_on(id) == 0
    [reason] = {
        one.reason
        for one in (
            await rollout.reader.targets(
                ada, id, states=[TargetState.PENDING], wave=None, attention=None, search=None, limit=50, cursor=None
            )
        )[0]
    }
    assert reason == "the window is closed"


@BOTH
@pytest.mark.parametrize(("policy", "expected"), [("skip", "skipped"), ("fail", "failed")])
async def test_a_device_that_is_away_for_too_long(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock, policy: str, expected: str
) -> None:
    await rollout.change(ten[:1], status="offline", status_since=clock())
    strategy = {"offline": policy, "offline_after_s": 900, "failure_threshold": "1"}
    id = await rollout.create(ada, ten, strategy=strategy)
    assert await rollout.go_on(id) == 9
    clock.advance(seconds=899)
    await rollout.turn(id)
    assert (await rollout.counts(id)).get("pending") == 1
    clock.advance(seconds=2)
    await rollout.turn(id)
    assert await rollout.counts(id) == {"succeeded": 9, expected: 1}


async def test_a_device_that_is_away_is_waited_for(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    await rollout.change(ten[:1], status="offline", status_since=clock())
    id = await rollout.create(ada, ten, strategy={"waves": ["50%", "100%"], "healthy_percent": 80})
    assert await rollout.go_on(id) == 9, "four of five are enough for the gate"
    assert await rollout.state(id) is DeploymentState.RUNNING
    clock.advance(days=3)
    await rollout.change(ten[:1], status="online")
    assert await rollout.go_on(id) == 1
    assert await rollout.state(id) is DeploymentState.SUCCEEDED


async def test_after_its_deadline_nothing_starts(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    id = await rollout.create(ada, ten, strategy={"max_parallel": 4, "deadline_s": 3600})
    await rollout.turn(id)
    given = await rollout.deliver()
    clock.advance(seconds=3601)
    await rollout.turn(id)
    await rollout.finish(given)
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.FAILED
    assert await rollout.counts(id) == {"succeeded": 4, "skipped": 6}


@BOTH
async def test_an_aborted_one_starts_nothing_and_ends_with_what_flies(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten, strategy={"max_parallel": 4})
    await rollout.turn(id)
    given = await rollout.deliver()
    await rollout.steering.abort(ada, id, "")
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.ABORTING
    await rollout.finish(given)
    await rollout.turn(id)
    assert await rollout.state(id) is DeploymentState.ABORTED
    assert await rollout.counts(id) == {"succeeded": 4, "skipped": 6}
    await rollout.steering.roll_back(ada, id, "")
    assert await rollout.go_on(id, outcome="reverted") == 4
    assert await rollout.state(id) is DeploymentState.ROLLED_BACK


@pytest.mark.databases("sqlite")
async def test_devices_that_cannot_get_it_keep_nobody_from_joining(
    rollout: Rollout, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "MOST", 2)
    await rollout.release()
    id = await rollout.create(ada, targets={"selector": "!old"}, following=True)
    await rollout.devices(5, ada.user_id, platform="windows")
    await rollout.devices(1, ada.user_id)
    assert sum([await rollout.go_on(id) for _ in range(3)]) == 1


@BOTH
async def test_devices_that_join_later_get_it_as_well(rollout: Rollout, ada: Principal, ten: list[int]) -> None:
    id = await rollout.create(ada, targets={"selector": "platform=linux"}, following=True)
    assert await rollout.go_on(id) == 10
    await rollout.devices(2, ada.user_id)
    await rollout.devices(1, ada.user_id, facts={}, device_name="too-old")
    assert await rollout.go_on(id) == 2
    assert await rollout.state(id) is DeploymentState.RUNNING
    assert (await rollout.row(id)).total == 12


@BOTH
async def test_devices_that_are_deleted_quarantined_or_given_away_meanwhile(
    rollout: Rollout, ada: Principal, ten: list[int], somebody: MakePrincipal
) -> None:
    bob = await somebody("bob@example.test")
    id = await rollout.create(ada, ten, strategy={"waves": ["2", "100%"]})
    await rollout.turn(id)
    given = await rollout.deliver()
    async with rollout.db.write() as session:
        await session.execute(sa.delete(Device).where(Device.id == ten[2]))
    rollout.device_ids.remove(ten[2])
    await rollout.change([ten[3]], user_id=bob.user_id)
    await rollout.change([ten[4]], trust="quarantined")
    await rollout.finish(given)
    assert await rollout.go_on(id) == 5
    assert await rollout.counts(id) == {"succeeded": 7, "skipped": 2, "pending": 1}
    await rollout.change([ten[4]], trust="trusted")
    assert await rollout.go_on(id) == 1
    assert await rollout.state(id) is DeploymentState.SUCCEEDED


async def test_a_device_that_is_deleted_while_it_installs_is_left_out(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten[:2])
    await rollout.turn(id)
    first, second = await rollout.deliver()
    async with rollout.db.write() as session:
        await session.execute(sa.delete(Device).where(Device.id == first[0]))
    rollout.device_ids.remove(first[0])
    await ReaperService(rollout.uow, rollout.db, rollout.clock).reap()
    await rollout.finish([second])
    await rollout.turn(id)
    assert await rollout.counts(id) == {"skipped": 1, "succeeded": 1}
    assert await rollout.state(id) is DeploymentState.SUCCEEDED


async def test_its_owner_may_not_deploy_any_more(rollout: Rollout, ada: Principal, ten: list[int]) -> None:
    id = await rollout.create(ada, ten, strategy={"max_parallel": 2})
    await rollout.turn(id)
    async with rollout.db.write() as session:
        await session.execute(sa.update(User).where(User.id == ada.user_id).values(role="viewer"))
    await rollout.finish(await rollout.deliver())
    await rollout.turn(id)
    assert await rollout.deliver() == []
    assert await rollout.state(id) is DeploymentState.PAUSED


async def test_a_task_that_was_never_sent_in_time_is_made_anew(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    id = await rollout.create(ada, ten[:1], strategy={"attempts": 1})
    await rollout.turn(id)
    clock.advance(minutes=31)
    assert await rollout.deliver() == []
    await ReaperService(rollout.uow, rollout.db, clock).reap()
    assert await rollout.go_on(id) == 1
    assert await rollout.state(id) is DeploymentState.SUCCEEDED


@BOTH
async def test_a_result_that_comes_after_it_was_given_up_counts(
    rollout: Rollout, ada: Principal, ten: list[int], clock: ManualClock
) -> None:
    id = await rollout.create(ada, ten[:2], strategy={"attempts": 1})
    await rollout.turn(id)
    late, _ = await rollout.deliver()
    await rollout.say([(late[0], late[1].task_id, {"state": "running"})])
    clock.advance(hours=2)
    await ReaperService(rollout.uow, rollout.db, clock).reap()
    await rollout.turn(id)
    assert (await rollout.counts(id))["failed"] == 2
    await rollout.say([(late[0], late[1].task_id, {"state": "succeeded", "exit_code": 0, "outcome": "installed"})])
    await rollout.turn(id)
    assert await rollout.counts(id) == {"failed": 1, "succeeded": 1}


async def test_its_runs_are_in_no_list_and_each_decision_is_on_record(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten[:1])
    await rollout.turn(id)
    await rollout.steering.pause(ada, id, "lunch")
    await rollout.steering.resume(ada, id, "")
    await rollout.go_on(id)
    async with rollout.db.read() as session:
        assert (await runs_repository.page(session, EVERYONE, runs_repository.RunFilter(), limit=10, cursor=None))[
            0
        ] == []
        [run] = await session.scalars(sa.select(Run))
        actions = list(await session.scalars(sa.select(AuditEntry.action).where(AuditEntry.object_id == id)))
    assert (run.kind, run.total, run.title) == ("deployment", 2, "Install web 1.0"), "one was withdrawn by the pause"
    assert run.finished_at is not None
    assert actions == [
        "deployment.created",
        "deployment.wave_opened",
        "deployment.paused",
        "deployment.resumed",
        "deployment.ended",
    ]


async def test_each_thing_that_a_person_does_is_on_record_under_their_name(
    rollout: Rollout, ada: Principal, ten: list[int]
) -> None:
    id = await rollout.create(ada, ten[:3], strategy={"waves": ["1", "2", "100%"], "soak_s": 600})
    await rollout.go_on(id)
    steering = rollout.steering
    await steering.promote(ada, id, 1, "")
    await rollout.turn(id)
    await rollout.finish(await rollout.deliver(), state="failed", exit_code=1, outcome="untouched")
    await rollout.turn(id)
    await steering.retry(ada, id, [TargetState.FAILED], "")
    await steering.pause(ada, id, "")
    await steering.roll_back(ada, id, "")
    await steering.abort(ada, id, "")
    async with rollout.db.read() as session:
        query = sa.select(AuditEntry.action).where(AuditEntry.actor == ada.email, AuditEntry.object_id == id)
        found = list(await session.scalars(query.order_by(AuditEntry.seq)))
    assert found == [
        f"deployment.{done}" for done in ("created", "promoted", "retried", "paused", "rolled_back", "aborted")
    ]


@BOTH
@pytest.mark.parametrize(("action", "had_started"), [("pause", True), ("pause", False), ("abort", False)])
async def test_what_has_not_started_when_it_stops_is_not_started_by_a_device_that_comes_back(
    rollout: Rollout, ada: Principal, ten: list[int], action: str, had_started: bool
) -> None:
    id = await rollout.create(ada, ten[:2])
    await rollout.turn(id)
    await rollout.change(ten[:1], status="offline")
    [sent] = await rollout.deliver()
    await getattr(rollout.steering, action)(ada, id, "")
    await rollout.change(ten[:1], status="online")
    await rollout.turn(id)
    assert await rollout.deliver() == []
    if had_started:
        await rollout.finish([sent])
    else:
        [(device_id, ended)] = (await rollout.delivery.cancelled_many(ten[:2])).items()
        assert (device_id, ended.withdrawn, ended.cancelled) == (sent[0], [sent[1].task_id], [])
        await rollout.say([(device_id, sent[1].task_id, {"state": "cancelled", "code": "withdrawn"})])
    await rollout.turn(id)
    if action == "abort":
        assert await rollout.state(id) is DeploymentState.ABORTED
        assert await rollout.counts(id) == ({"succeeded": 1, "skipped": 1} if had_started else {"skipped": 2})
        return
    assert await rollout.counts(id) == ({"succeeded": 1, "pending": 1} if had_started else {"pending": 2})
    assert {one.attempts for one in await rollout.targets(id)} == {had_started, 0}
    await rollout.steering.resume(ada, id, "")
    assert await rollout.go_on(id) == (1 if had_started else 2)
    assert await rollout.state(id) is DeploymentState.SUCCEEDED
