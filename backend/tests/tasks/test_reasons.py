"""Why a task is in its state: something for every state, presence and trust, and moments that can be told apart."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest

from app.tasks.models import Task
from app.tasks.ranges import Unsatisfiable, byte_range
from app.tasks.reasons import Circumstances, DeviceNow, explain
from app.tasks.spans import span
from deployx_protocol.states import Presence, Trust
from deployx_protocol.tasks import FINAL, TaskCode, TaskState

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, UTC)
CIRCUMSTANCES = Circumstances(expires_at=NOON + timedelta(hours=3), timeout_s=90)


def task(state: TaskState, **values: object) -> Task:
    return Task(**{"id": "t", "state": state, "code": "", "message": "", "created_at": NOON} | values)


def device(presence: Presence = Presence.ONLINE, trust: Trust = Trust.TRUSTED) -> DeviceNow:
    return DeviceNow(presence, NOON, trust)


def test_every_state_has_a_reason_and_what_is_not_over_a_next_event() -> None:
    devices = [None, *(device(*both) for both in itertools.product(Presence, Trust))]
    for state, now, code, asked in itertools.product(TaskState, devices, TaskCode, (None, NOON)):
        at = Circumstances(NOON, 90, device=now)
        row = task(state, code=code, cancel_requested_at=asked, deadline_at=None if state in FINAL else NOON)
        reason, following = explain(row, at)
        assert reason
        assert bool(following) is (state not in FINAL), (state, now)
        for text in (reason, following):
            assert "None" not in text
            assert not re.search(r"\d:\d", re.sub(r"2026-01-02T\d\d:\d\d:\d\dZ", "", text)), text


SAID = [
    (task(TaskState.QUEUED), {"device": device()}, "about to be sent", "sent at once, until 2026-01-02T15:00:00Z"),
    (
        task(TaskState.QUEUED),
        {"device": device(Presence.OFFLINE)},
        "offline since 2026-01-02T12:00:00Z",
        "sent when it is back, until 2026-01-02T15:00:00Z",
    ),
    (
        task(TaskState.QUEUED),
        {"device": device(), "max_parallel": 10, "in_flight": 10},
        "waits: 10 of 10 in flight",
        "sent when one of them ends, until 2026-01-02T15:00:00Z",
    ),
    (
        task(TaskState.QUEUED),
        {"device": device(), "behind": 3},
        "queued behind 3 runs",
        "sent after those, until 2026-01-02T15:00:00Z",
    ),
    (
        task(TaskState.SENT),
        {"device": device(), "max_parallel": 10, "in_flight": 10, "this_session": False},
        "sent, and not yet confirmed by the device; waits: 10 of 10 in flight",
        "sent again when one of them ends, until 2026-01-02T15:00:00Z",
    ),
    (
        task(TaskState.SENT),
        {"device": device(), "this_session": False},
        "sent, and not yet confirmed by the device",
        "sent again at once, until 2026-01-02T15:00:00Z",
    ),
    (
        task(TaskState.RUNNING, started_at=NOON),
        {"device": device()},
        "running since 2026-01-02T12:00:00Z",
        "ends by 2026-01-02T12:01:30Z, its time-out",
    ),
    (
        task(TaskState.RUNNING, started_at=NOON, cancel_requested_at=NOON, deadline_at=NOON + timedelta(seconds=210)),
        {"device": device()},
        "called off at 2026-01-02T12:00:00Z; running since 2026-01-02T12:00:00Z",
        "ends when the device confirms it; lost after 2026-01-02T12:03:30Z",
    ),
    (task(TaskState.FAILED, exit_code=3), {}, "exit code 3", ""),
    (task(TaskState.FAILED, signal=9), {}, "ended by signal 9", ""),
    (task(TaskState.FAILED, code="cwd_not_found", message="There is no /srv."), {}, "There is no /srv.", ""),
    (task(TaskState.FAILED, code="disk_full"), {}, "could not start: disk full", ""),
    (task(TaskState.TIMED_OUT), {}, "ran longer than its time-out of 90 seconds, and was ended", ""),
    (task(TaskState.CANCELLED, started_at=NOON), {}, "called off while it ran", ""),
    (task(TaskState.EXPIRED), {}, "was not started by 2026-01-02T15:00:00Z", ""),
]


@pytest.mark.parametrize(("row", "changes", "reason", "following"), SAID)
def test_what_is_said(row: Task, changes: dict[str, object], reason: str, following: str) -> None:
    values = {name: getattr(CIRCUMSTANCES, name) for name in Circumstances.__slots__} | changes
    assert explain(row, Circumstances(**values)) == (reason, following)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=9-", (9, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=2-99", (2, 10)),
        ("Bytes=2-3", (2, 4)),
        ("bytes=3-2", None),
        ("bytes=a-b", None),
        ("bytes=1-2,4-5", None),
        ("bytes=-", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 10) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_after_the_end(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        byte_range(header, size)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (0.5, "0.5 seconds"),
        (90, "90 seconds"),
        (5_400, "90 minutes"),
        (3_600, "1 hour"),
        (86_400, "1 day"),
        (604_800, "7 days"),
        (90_061, "1,501 minutes"),
    ],
)
def test_a_span_is_said_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
