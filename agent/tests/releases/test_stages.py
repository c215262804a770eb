"""The stages of a release: one table, and what the next agent does with each."""

import itertools

import pytest

from deployx_agent.releases import countdown
from deployx_agent.releases.countdown import Countdown
from deployx_agent.releases.stages import TRANSITIONS, Course, Stage, course, may_follow


def test_every_stage_ends_and_a_new_release_begins_at_the_beginning() -> None:
    assert set(TRANSITIONS) == set(Stage)
    for stage in Stage:
        seen, todo = set[Stage](), [stage]
        while todo:
            now = todo.pop()
            seen.add(now)
            todo += [after for after in TRANSITIONS[now] if after not in seen and now is not Stage.OVER]
        assert Stage.OVER in seen
    assert [stage for stage in Stage if may_follow(None, stage)] == [Stage.PREPARING]
    assert TRANSITIONS[Stage.OVER] == {Stage.PREPARING}


def test_what_was_changed_is_never_over_without_a_check_or_a_way_back() -> None:
    for stage in (Stage.CHANGING, Stage.REBOOTING):
        assert Stage.OVER not in TRANSITIONS[stage]


@pytest.mark.parametrize(("stage", "committed", "rebooted"), [*itertools.product(Stage, (True, False), (True, False))])
def test_the_next_agent_knows_what_to_do(stage: Stage, committed: bool, rebooted: bool) -> None:
    found = course(stage, committed=committed, rebooted=rebooted)
    changed = {Stage.CHANGING, Stage.REBOOTING, Stage.CHECKING, Stage.CONFIRMING, Stage.REVERTING}
    if stage is Stage.OVER:
        assert found is Course.REST
    elif committed:
        assert found is Course.COMMITTED
    elif stage in changed:
        assert found in {Course.UNDO, Course.CHECK, Course.REBOOT, Course.CONFIRM}
        assert (found is Course.CHECK) == (stage is Stage.REBOOTING and rebooted)
    elif stage is Stage.HANDING_OVER:
        assert found is Course.LOOK
    else:
        assert found is Course.CLEAN


def test_time_goes_on_through_restarts_and_reboots(monkeypatch: pytest.MonkeyPatch) -> None:
    now, boot = 1_000.0, "first"
    monkeypatch.setattr(countdown, "clock", lambda: now)
    monkeypatch.setattr(countdown, "boot", lambda: boot)
    counting = Countdown.of(60)
    now += 10
    assert counting.left() == 50
    stored = counting.stored()
    now += 15  # the agent was gone
    assert Countdown.read(stored).left() == 35
    stored = Countdown.read(stored).stored()
    now, boot = 20.0, "second"  # the machine was off, which does not count, and is up for 20 s
    counting = Countdown.read(stored)
    assert counting.left() == 15
    stored = counting.stored()
    now += 14
    assert Countdown.read(stored).left() == 1
    now += 100
    assert Countdown.read(stored).left() == 0
