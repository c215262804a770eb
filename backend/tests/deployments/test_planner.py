"""The planner against a model of a fleet: whatever devices and people do, in whatever order, what it promises holds.

Planted bugs show that the model would see what it is there for.
"""

from dataclasses import replace
from datetime import timedelta

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deployments.observing import observe
from app.deployments.planner import PAGE, Situation, Start, Wave, plan
from deployx_protocol.deployments import (
    SETTLED,
    TARGET_TRANSITIONS,
    TRANSITIONS,
    DeploymentEvent,
    DeploymentState,
    IllegalTransition,
    Offline,
    OnFailure,
    TargetEvent,
    TargetState,
    advance,
    advance_target,
)
from deployx_protocol.releases import Action

from .model import ENDS, START, UNDER_WAY, Bug, World, good, strategy

_PEOPLE = tuple(DeploymentEvent)[2:8]
_SLOW = hypothesis.HealthCheck.too_slow
_QUICK = hypothesis.settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=[_SLOW]
)
_LONG = hypothesis.settings(max_examples=3_000, deadline=None, suppress_health_check=[_SLOW])

STRATEGIES = st.builds(
    strategy,
    waves=st.sampled_from([["100%"], ["1", "100%"], ["1", "50%", "100%"], ["10%", "30%", "60%", "100%"]]),
    max_parallel=st.sampled_from([None, 1, 2, 5]),
    failure_threshold=st.sampled_from(["0", "1", "3", "10%", "50%"]),
    soak_s=st.sampled_from([0.0, 30.0]),
    healthy_percent=st.sampled_from([None, None, 50.0, 100.0]),
    offline=st.sampled_from(list(Offline)),
    deadline_s=st.sampled_from([None, None, 200.0]),
    on_failure=st.sampled_from(list(OnFailure)),
    attempts=st.sampled_from([1, 2, 3]),
)
DEVICES = st.integers(0, 11)
EVENTS = st.one_of(
    st.tuples(st.just("report"), DEVICES, st.sampled_from(sorted(UNDER_WAY))),
    st.tuples(st.just("report"), DEVICES, st.sampled_from(sorted(ENDS))),
    st.tuples(st.just("report"), DEVICES, st.just("good")),
    st.tuples(st.just("everyone"), st.just(0), st.sampled_from(["good", "good", "failed", "lost", "reverted"])),
    st.tuples(st.just("look"), DEVICES, st.just("")),
    st.tuples(st.just("turn"), st.just(0), st.just("")),
    st.tuples(st.just("turn"), st.just(0), st.just("")),
    st.tuples(st.just("away"), DEVICES, st.just("")),
    st.tuples(st.just("back"), DEVICES, st.just("")),
    st.tuples(st.just("time"), st.sampled_from([1, 29, 31, 61, 250]), st.just("")),
    st.tuples(st.just("person"), st.just(0), st.sampled_from([one.value for one in _PEOPLE])),
)


def drive(world: World, events: list[tuple[str, int, str]]) -> None:
    """Let ``events`` happen. The world itself checks what has to hold at any time."""
    for kind, number, what in events:
        n = number % world.total
        match kind:
            case "report":
                world.report(n, {**ENDS, **UNDER_WAY}[what])
            case "everyone":
                for each in list(world.tasks):
                    world.report(each, ENDS[what])
                world.look()
            case "look":
                world.look([n])
            case "turn":
                world.look()
                world.turn()
            case "away":
                world.devices[n].online, world.devices[n].away_since = False, world.now
            case "back":
                world.devices[n].online = True
            case "time":
                world.now += timedelta(seconds=number)
            case "person" if world.may(DeploymentEvent(what)):
                world.move(DeploymentEvent(what))


def ending_well(world: World) -> None:
    """Whatever was, from now on all goes well: it ends, and whatever it says is so."""
    world.settle(lambda n: good(world.tasks[n].action))
    assert all(one.state in SETTLED for one in world.targets)
    if world.state is DeploymentState.SUCCEEDED:
        assert all(
            device.has
            for device, one in zip(world.devices, world.targets, strict=True)
            if one.state is TargetState.SUCCEEDED
        )


@given(STRATEGIES, st.integers(1, 12), st.lists(EVENTS, max_size=60))
@_QUICK
def test_whatever_happens_its_promises_hold_and_it_ends(
    how: object, total: int, events: list[tuple[str, int, str]]
) -> None:
    world = World(how, total)  # type: ignore[arg-type]
    world.turn()
    drive(world, events)
    ending_well(world)


@pytest.mark.soak
@pytest.mark.timeout(1_200)
@given(STRATEGIES, st.integers(1, 12), st.lists(EVENTS, max_size=200))
@_LONG
def test_whatever_happens_for_long(how: object, total: int, events: list[tuple[str, int, str]]) -> None:
    world = World(how, total)  # type: ignore[arg-type]
    world.turn()
    drive(world, events)
    ending_well(world)


@pytest.mark.parametrize("bug", [bug for bug in Bug if bug is not Bug.NONE])
def test_the_model_sees_a_planted(bug: Bug) -> None:
    """Each bug breaks a promise within the events that any of these examples has."""

    def broken(how: object, total: int, events: list[tuple[str, int, str]]) -> bool:
        world = World(how, total, bug=bug)  # type: ignore[arg-type]
        try:
            world.turn()
            drive(world, events)
            ending_well(world)
        except (AssertionError, IllegalTransition):
            return True
        return False

    with pytest.raises(AssertionError, match="seen"):

        @given(STRATEGIES, st.integers(2, 12), st.lists(EVENTS, max_size=60))
        @hypothesis.settings(_QUICK, max_examples=600, phases=[hypothesis.Phase.generate])
        def look(how: object, total: int, events: list[tuple[str, int, str]]) -> None:
            if broken(how, total, events):
                raise AssertionError("seen")

        look()


@given(
    st.lists(st.sampled_from(sorted({**ENDS, **UNDER_WAY})), min_size=1, max_size=6),
    st.sampled_from(sorted(ENDS)),
    st.data(),
)
@_QUICK
def test_the_same_reports_in_any_order_with_repeats_lead_to_the_same_end(
    reports: list[str], end: str, data: st.DataObject
) -> None:
    """The database keeps of a task what it is, whatever order its reports came in; looks come whenever they come."""
    looks = data.draw(st.lists(st.booleans(), min_size=len(reports), max_size=len(reports)))

    def after(looked: list[bool]) -> tuple[object, ...]:
        world = World(strategy(waves=["100%"], attempts=3), 1)
        world.turn()
        for name, look in zip(reports, looked, strict=True):
            if name in UNDER_WAY:
                world.report(0, UNDER_WAY[name])
            if look:
                world.look()
                world.look()
        world.report(0, ENDS[end])
        for _ in range(1 + sum(looked)):
            world.look()
        target = world.targets[0]
        return target.state, target.todo, target.attempts, target.outcome, target.code

    assert after(looks) == after([False] * len(reports))


@pytest.mark.parametrize("state", DeploymentState)
@pytest.mark.parametrize("event", DeploymentEvent)
def test_every_pair_of_state_and_event_of_a_deployment(state: DeploymentState, event: DeploymentEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            advance(state, event)


@pytest.mark.parametrize("state", TargetState)
@pytest.mark.parametrize("event", TargetEvent)
def test_every_pair_of_state_and_event_of_a_target(state: TargetState, event: TargetEvent) -> None:
    if (state, event) in TARGET_TRANSITIONS:
        assert advance_target(state, event) is TARGET_TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            advance_target(state, event)


def test_a_running_deployment_with_failures_ends_as_failed() -> None:
    assert advance(DeploymentState.RUNNING, DeploymentEvent.END, failures=True) is DeploymentState.FAILED


def test_a_page_is_the_most_that_is_started_at_once() -> None:
    ready = [str(n) for n in range(2 * PAGE)]
    wave = Wave(1, "100%", {TargetState.PENDING: len(ready)}, opened_at=START)
    situation = Situation(DeploymentState.RUNNING, strategy(waves=["100%"]), [wave], ready=ready, pending=len(ready))
    [step] = plan(situation, START).steps
    assert isinstance(step, Start) and len(step.targets) == PAGE and step.action is Action.INSTALL


def test_a_target_that_was_given_up_is_corrected_by_its_late_result() -> None:
    world = World(strategy(waves=["100%"], attempts=1), 1)
    world.turn()
    world.report(0, ENDS["lost"])
    world.look()
    assert world.targets[0].state is TargetState.FAILED
    late = replace(ENDS["good"])
    corrected = observe(world.targets[0], late, stopping=False, undoing=False, attempts=1)
    assert corrected.state is TargetState.SUCCEEDED and corrected.touched
