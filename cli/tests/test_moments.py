"""Moments in sentences, in the reader's own time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from deployx_cli.moments import for_people

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EET-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("offline since 2026-11-25T08:19:51Z", "offline since 10:19"),
        ("sent when it is back, until 2026-11-26T23:30:00Z", "sent when it is back, until 27 Nov 01:30"),
        (
            "running since 2025-12-31T08:00:00Z; ends by 2026-01-01T08:00:00Z",
            "running since 2025-12-31 10:00; ends by 1 Jan 10:00",
        ),
        ("exit code 3", "exit code 3"),
        ("it printed 2026-11-25", "it printed 2026-11-25"),
    ],
)
def test_a_sentence_in_local_time(text: str, read: str) -> None:
    assert for_people(text, NOW) == read
