"""Moments as the wire has them."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from app.clock import iso

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31), timezones=st.just(UTC) | OFFSETS)  # noqa: DTZ001


@given(MOMENTS)
def test_a_moment_is_in_utc_and_to_the_millisecond(moment: datetime) -> None:
    assert iso(moment) == moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def test_a_whole_second_has_its_milliseconds_as_well() -> None:
    assert iso(datetime(2026, 1, 9, 12, 0, 5, tzinfo=UTC)) == "2026-01-09T12:00:05.000Z"
    assert iso(datetime(2026, 1, 9, 12, 0, 5, 999, tzinfo=UTC)) == "2026-01-09T12:00:05.000Z"
