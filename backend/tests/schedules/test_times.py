"""When schedules are due: cron by the clocks of a zone, over changes of them, within windows, and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.schedules import times
from app.schedules.times import Timing, Window, window_of

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = tuple(times.DAYS)


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def locals_of(
    cron: str, since: str, count: int, zone: ZoneInfo = BERLIN, windows: tuple[Window, ...] = ()
) -> list[str]:
    found = islice(Timing(zone, None, cron, windows).following(at(since, zone)), count)
    return [moment.astimezone(zone).isoformat(timespec="minutes") for moment in found]


def test_a_time_that_the_clock_skips_comes_once_right_after_the_gap() -> None:
    assert locals_of("30 2 * * *", "2026-03-28T00:00", 3) == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert locals_of("0,30 2,3 * * *", "2026-03-29T00:00", 3) == [
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
        "2026-03-30T02:00+02:00",
    ]


def test_a_time_that_the_clock_shows_twice_comes_the_first_time() -> None:
    assert locals_of("30 2 * * *", "2026-10-24T12:00", 2) == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]
    second = at("2026-10-25T02:10", fold=1)
    assert Timing(BERLIN, None, "30 2 * * *").next_after(second) == at("2026-10-26T02:30"), "it was there already"


def test_an_interval_goes_by_real_time() -> None:
    assert locals_of("*/30 * * * *", "2026-10-25T01:59", 5) == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:00+01:00",
    ]


def fields(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True).map(sorted)


def matches(local: datetime, minutes: list[int], hours: list[int], days: list[int]) -> bool:
    return local.minute in minutes and local.hour in hours and (local.weekday() + 1) % 7 in days


def naive_minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += timedelta(minutes=1)


def is_real(naive: datetime, zone: ZoneInfo) -> bool:
    aware = naive.replace(tzinfo=zone)
    return aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive


def by_clock(zone: ZoneInfo, day: datetime, minutes: list[int], hours: list[int], days: list[int]) -> list[datetime]:
    """What a person with a clock would do: each time that it should show, once; one that it skips, when it is past."""
    due = set()
    for naive in naive_minutes(day, day + timedelta(days=3)):
        if matches(naive, minutes, hours, days):
            shown = naive
            while not is_real(shown, zone):
                shown += timedelta(minutes=1)
            due.add(shown.replace(tzinfo=zone, fold=0).astimezone(UTC))
    return sorted(due)


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "UTC"]
CHANGES = [
    "2026-03-28",
    "2026-03-07",
    "2026-10-24",
    "2026-10-31",
    "2026-04-04",
    "2026-10-03",
    "2026-09-05",
    "2026-04-23",
]


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(CHANGES),
    minutes=fields(0, 59),
    hours=st.one_of(fields(0, 23), fields(0, 4)),
    days=st.one_of(st.just([0, 1, 2, 3, 4, 5, 6]), fields(0, 6)),
)
def test_fixed_times_are_those_of_a_clock(
    zone: str, day: str, minutes: list[int], hours: list[int], days: list[int]
) -> None:
    local, start = ZoneInfo(zone), datetime.fromisoformat(day)
    cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * {','.join(map(str, days))}"
    first = start.replace(tzinfo=local).astimezone(UTC)
    until = (start + timedelta(days=2)).replace(tzinfo=local).astimezone(UTC)
    expected = [moment for moment in by_clock(local, start, minutes, hours, days) if first < moment < until]
    found = []
    for moment in Timing(local, None, cron).following(first):
        if moment >= until:
            break
        found.append(moment)
    assert found == expected
    # whichever moment one looks from, the next is the same: nothing hangs on how the times were walked
    for earlier, later in zip([first, *expected], expected, strict=False):
        middle = earlier + (later - earlier) / 2
        assert Timing(local, None, cron).next_after(middle) == later


@settings(max_examples=12, deadline=None)
@given(zone=st.sampled_from(ZONES), day=st.sampled_from(CHANGES), step=st.sampled_from([10, 15, 30]))
def test_intervals_never_pause_nor_repeat(zone: str, day: str, step: int) -> None:
    local = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=local).astimezone(UTC)
    found = list(islice(Timing(local, None, f"*/{step} * * * *").following(start), 2 * 24 * 60 // step))
    gaps = {later - earlier for earlier, later in pairwise(found)}
    assert gaps == {timedelta(minutes=step)}


def test_windows_leave_out_what_is_outside_them() -> None:
    nights = (window_of(["mon", "fri"], "22:00", "02:00"),)
    assert locals_of("30 */2 * * *", "2026-06-01T00:00", 4, windows=nights) == [
        "2026-06-01T22:30+02:00",
        "2026-06-02T00:30+02:00",
        "2026-06-05T22:30+02:00",
        "2026-06-06T00:30+02:00",
    ]
    whole = (window_of(["sat"], "00:00", "24:00"),)
    assert locals_of("* * * * *", "2026-06-01T00:00", 1, windows=whole) == ["2026-06-06T00:00+02:00"]


@settings(max_examples=20, deadline=None)
@given(
    day=st.sampled_from(CHANGES),
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    days=st.sets(st.integers(0, 6), min_size=1),
    step=st.sampled_from(["*/29 * * * *", "13 * * * *", "5 1,13 * * *"]),
)
def test_windows_are_what_a_filter_would_leave(day: str, start: int, length: int, days: set[int], step: str) -> None:
    windows = (Window(frozenset(days), start, (start + length) % 1440),)
    since = at(f"{day}T00:00")
    until = since + timedelta(days=8)
    every = Timing(BERLIN, None, step)
    expected = []
    for moment in every.following(since):
        if moment >= until:
            break
        if windows[0].holds(moment.astimezone(BERLIN)):
            expected.append(moment)
    found = []
    for moment in Timing(BERLIN, None, step, windows).following(since):
        if moment >= until:
            break
        found.append(moment)
    assert found == expected


@pytest.mark.parametrize(
    ("cron", "code", "says"),
    [
        ("0 0 30 2 *", "invalid_cron", "never comes due"),
        ("0 0 31 4,6 *", "invalid_cron", "never comes due"),
        ("61 0 * * *", "invalid_cron", "minute"),
        ("0 24 * * *", "invalid_cron", "hour"),
        ("0 0 * 13 *", "invalid_cron", "month"),
        ("0 0 * * mun", "invalid_cron", "day of week"),
        ("0 0 32 * *", "invalid_cron", "day of month"),
        ("* * * *", "invalid_cron", "five fields"),
        ("* * * * * *", "invalid_cron", "five fields"),
        ("", "invalid_cron", "five fields"),
        ("@reboot", "invalid_cron", "@daily"),
        ("٣ * * * *", "invalid_cron", "five fields"),
        ("*/0 * * * *", "invalid_cron", "minute"),
    ],
)
def test_a_cron_that_cannot_be_used_is_refused(cron: str, code: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        times.of(at=None, cron=cron, timezone="UTC", windows=())
    assert refused.value.specific_code == code
    assert says in refused.value.message


def test_what_never_meets_its_windows_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        times.of(at=None, cron="30 4 * * *", timezone="UTC", windows=[window_of(DAILY, "05:00", "06:00")])
    assert refused.value.specific_code == "never_due"
    with pytest.raises(InvalidInput) as refused:
        times.of(at=at("2030-01-01T04:00"), cron=None, timezone="UTC", windows=[window_of(DAILY, "05:00", "06:00")])
    assert refused.value.specific_code == "outside_windows"


@pytest.mark.parametrize(
    ("days", "start", "end", "code"),
    [
        (["mon"], "05:00", "05:00", "never_open"),
        ([], "05:00", "06:00", "never_open"),
        (["mon"], "24:00", "06:00", "never_open"),
        (["mon"], "5:00", "06:00", "invalid_window"),
        (["mon"], "05:60", "06:00", "invalid_window"),
        (["mon"], "25:00", "06:00", "invalid_window"),
    ],
)
def test_a_window_that_never_opens_is_refused(days: list[str], start: str, end: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        window_of(days, start, end)
    assert refused.value.specific_code == code


def test_zones_have_names() -> None:
    with pytest.raises(InvalidInput, match="Europe/Berlin"):
        times.zone_of("Europe/Berlim")
    for odd in ("", "../etc/passwd", "CEST+1", "\x00"):
        with pytest.raises(InvalidInput):
            times.zone_of(odd)
