"""The oracle alone: each thing that can be wrong, and what a lost journal does and does not excuse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.sim.oracle import Asked, Shown, judge, misplaced
from app.sim.witness import DeviceSeen, Report, Seen

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEVICE, RUN, TASK = "web-1", "run", "task"


def task(state: str = "succeeded", **values: Any) -> dict[str, Any]:
    return {
        "id": TASK,
        "device_id": 7,
        "device_name": "web-1",
        "state": state,
        "code": "",
        "exit_code": 0 if state == "succeeded" else None,
        "deadline_at": None,
        **values,
    }


def seen(**values: Any) -> Seen:
    fields = {"starts": 1, "state": "succeeded", "exit_code": 0, "output": [(1, "6869")], **values}
    return Seen(DEVICE, 1, **fields)


def verdict(
    shown: dict[str, Any] | None,
    saw: Seen | None,
    *,
    output: list[tuple[int, str]] | None = None,
    cancelled: bool = False,
    finished: bool = True,
    expires: timedelta = timedelta(hours=1),
    journal_lost_at: float | None = None,
    status: str = "online",
    script: str = "",
) -> dict[str, int]:
    tasks = [shown] if shown else []
    run = {
        "finished_at": NOW.isoformat() if finished else None,
        "counts": {one["state"]: 1 for one in tasks},
        "expires_at": (NOW + expires).isoformat(),
    }
    device = DeviceSeen(DEVICE, connected=True, journal_lost_at=[journal_lost_at] if journal_lost_at else [])
    read = Shown(
        {RUN: run},
        {RUN: tasks},
        {TASK: [(1, "6869")] if output is None else output},
        {DEVICE: {"id": 7, "status": status}},
    )
    asked = [Asked(RUN, 100.0, frozenset({7}), limited=False, cancelled=cancelled, script=script)]
    found = judge(asked, read, Report({TASK: saw} if saw else {}, [device]), NOW)
    counts = {"L": len(found.lost), "D": len(found.doubled), "U": len(found.stuck), "P": len(found.wrong)}
    return {name: count for name, count in counts.items() if count}


def test_what_is_shown_as_it_went_is_sound() -> None:
    assert verdict(task(), seen()) == {}


@pytest.mark.parametrize(
    "shown",
    [
        None,
        task("failed", exit_code=1),
        task("succeeded", exit_code=3),
        task("running", deadline_at=(NOW + timedelta(hours=1)).isoformat()),
        task("lost", code="silent"),
        task("expired"),
    ],
    ids=["missing", "another end", "another exit code", "still running", "lost", "expired"],
)
def test_a_result_that_is_not_shown_is_lost(shown: dict[str, Any] | None) -> None:
    assert verdict(shown, seen()) == {"L": 1}


@pytest.mark.parametrize("output", [[], [(2, "6869")], [(1, "69"), (1, "68")]])
def test_output_that_is_not_what_was_printed_is_lost(output: list[tuple[int, str]]) -> None:
    assert verdict(task(), seen(), output=output) == {"L": 1}


def test_a_second_start_is_doubled() -> None:
    assert verdict(task(), seen(starts=2)) == {"D": 1}


@pytest.mark.parametrize("deadline", [None, NOW - timedelta(minutes=1), NOW + timedelta(hours=1)])
def test_what_nobody_works_on_is_stuck(deadline: datetime | None) -> None:
    shown = task("queued", deadline_at=deadline.isoformat() if deadline else None)
    assert verdict(shown, None, finished=False) == {"U": 1}


def test_a_run_that_does_not_show_its_end_is_stuck() -> None:
    assert verdict(task(), seen(), finished=False) == {"U": 1}


def test_a_lost_journal_excuses_what_was_in_flight_and_nothing_else() -> None:
    lost = task("lost", code="journal_new")
    in_flight = seen(state="", exit_code=None, journal_lost=True)
    assert verdict(lost, in_flight, journal_lost_at=101.0) == {}
    assert verdict(lost, None, journal_lost_at=101.0) == {}
    assert verdict(lost, seen(journal_lost=True), journal_lost_at=101.0) == {}
    assert verdict(lost, seen(), journal_lost_at=101.0) == {"L": 1}  # it was acknowledged before
    assert verdict(lost, None, journal_lost_at=99.0) == {"L": 1}  # it was asked for afterwards
    assert verdict(lost, None) == {"L": 1}


def test_what_never_came_may_be_cancelled_or_expired_if_it_was_asked_for() -> None:
    assert verdict(task("cancelled"), None, cancelled=True) == {}
    assert verdict(task("cancelled"), None) == {"L": 1}
    assert verdict(task("expired"), None, expires=timedelta(seconds=-1)) == {}
    assert verdict(task("expired"), None) == {"L": 1}


@pytest.mark.parametrize("status", ["offline", "unknown"])
def test_a_device_that_is_there_and_not_shown_so_is_wrong(status: str) -> None:
    assert verdict(task(), seen(), status=status) == {"P": 1}


def test_a_device_that_is_missing_or_was_refused_is_wrong() -> None:
    found = misplaced([DeviceSeen("a"), DeviceSeen("b", refused=["it is quarantined"])], {"b": {"status": "offline"}})
    assert found == ["a is offline; the server shows it as missing", "b: it is quarantined"]


def test_what_overtakes_an_earlier_request_is_lost() -> None:
    views = {run: [task(id=run)] for run in ("first", "second")}
    run = {"finished_at": NOW.isoformat(), "counts": {"succeeded": 1}, "expires_at": NOW.isoformat()}
    saw = {name: Seen(DEVICE, place, 1, "succeeded", 0) for name, place in (("first", 2), ("second", 1))}
    read = Shown(dict.fromkeys(views, run), views, {}, {DEVICE: {"id": 7, "status": "online"}})

    def lost(*, limited: bool) -> int:
        asked = [Asked(name, 100.0, frozenset({7}), limited=limited) for name in views]
        return len(judge(asked, read, Report(saw, [DeviceSeen(DEVICE, connected=True)]), NOW).lost)

    assert lost(limited=False) == 1
    assert lost(limited=True) == 0


@pytest.mark.parametrize(
    ("saw", "wrong"),
    [
        (seen(script="5c"), {}),
        (seen(script="ad"), {"L": 1}),
        (seen(script=""), {"L": 1}),
        (seen(starts=0, state="failed", exit_code=None, output=[]), {"L": 1}),
        (seen(starts=0, state="cancelled", exit_code=None, output=[]), {}),
    ],
    ids=["the right one", "another", "none", "not to be had", "called off before it was fetched"],
)
def test_a_task_gets_its_script(saw: Seen, wrong: dict[str, int]) -> None:
    shown = task(saw.state, exit_code=saw.exit_code)
    assert verdict(shown, saw, script="5c", output=saw.output) == wrong
