"""The backoff policy and the heartbeat's clockwork: pure, so every figure of the specification is checked exactly."""

from hypothesis import given
from hypothesis import strategies as st

from deployx_agent.connection.heartbeat import Heartbeat
from deployx_agent.connection.retry import BACKOFF_CAP_S, RETRY_AFTER_CAP_S, Retry, Wait, Why


def top() -> float:
    return 1.0


def test_failures_before_the_first_registration_wait_5_s_ten_times() -> None:
    retry = Retry(10, 5.0, top)
    assert [retry.next(Why.FAILURE) for _ in range(11)] == [*(Wait(5.0, n) for n in range(1, 11)), None]


def test_timeouts_back_off_from_5_s_to_30_s() -> None:
    retry = Retry(10, 5.0, top)
    waits = [retry.next(Why.TIMEOUT) for _ in range(5)]
    assert [wait.delay_s for wait in waits if wait] == [5, 10, 20, 30, 30]


def test_after_a_registration_everything_backs_off_and_counts_anew() -> None:
    retry = Retry(10, 5.0, top)
    for _ in range(9):
        retry.next(Why.FAILURE)
    retry.registered()
    waits = [retry.next(why) for why in (Why.LOST, Why.FAILURE, Why.TIMEOUT, Why.FAILURE, *[Why.FAILURE] * 7)]
    assert [wait and wait.delay_s for wait in waits] == [5, 10, 20, *[30] * 7, None]


def test_zero_attempts_never_end() -> None:
    retry = Retry(0, 5.0, top)
    assert all(retry.next(Why.FAILURE) for _ in range(10_000))


def test_postponed_spends_no_attempt_and_keeps_to_what_the_server_says() -> None:
    retry = Retry(1, 5.0, lambda: 0.0)
    assert [retry.next(Why.POSTPONED, 7.0) for _ in range(100)] == [Wait(7.0, 0)] * 100
    assert retry.next(Why.FAILURE) == Wait(5.0, 1)
    assert retry.next(Why.FAILURE) is None


@given(
    st.sampled_from(Why),
    st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 10_000),
    st.booleans(),
)
def test_delays_are_bounded(
    why: Why, retry_after_s: float | None, random: float, count: int, established: bool
) -> None:
    retry = Retry(0, 5.0, lambda: random)
    if established:
        retry.registered()
    for _ in range(min(count, 50)):
        wait = retry.next(why, retry_after_s)
        assert wait is not None
        assert 0 <= wait.delay_s <= max(BACKOFF_CAP_S, RETRY_AFTER_CAP_S * 1.25)
        if retry_after_s is not None and 0 <= retry_after_s <= RETRY_AFTER_CAP_S:
            assert wait.delay_s >= retry_after_s


@given(st.floats(0, 1, exclude_max=True))
def test_full_jitter_takes_any_share(random: float) -> None:
    retry = Retry(10, 5.0, lambda: random)
    retry.registered()
    wait = retry.next(Why.LOST)
    assert wait is not None
    assert wait.delay_s == 5.0 * random


@given(st.floats(0, 1, exclude_max=True), st.floats(0.1, 3600))
def test_first_heartbeat_is_spread_over_the_interval(random: float, interval_s: float) -> None:
    heartbeat = Heartbeat(interval_s, None, 100.0, lambda: random)
    assert 100.0 <= heartbeat.deadline <= 100.0 + interval_s
    assert heartbeat.due(heartbeat.deadline)


def test_heartbeat_beats_every_interval_and_misses_pongs() -> None:
    heartbeat = Heartbeat(30.0, None, 0.0, top)
    assert (heartbeat.deadline, heartbeat.due(29.9), heartbeat.due(30.0)) == (30.0, False, True)
    heartbeat.sent(30.0)
    assert heartbeat.deadline == 60.0
    assert not heartbeat.overdue(59.9)
    assert heartbeat.overdue(60.0)
    heartbeat.answered()
    assert not heartbeat.overdue(1000.0)


def test_a_late_pong_counts_from_the_first_unanswered_ping() -> None:
    heartbeat = Heartbeat(1.0, None, 0.0, top)
    assert heartbeat.pong_timeout_s == 15.0
    for second in range(1, 16):
        heartbeat.sent(float(second))
    assert heartbeat.deadline == 16.0
    assert heartbeat.overdue(16.0)
    assert Heartbeat(600.0, None, 0.0, top).pong_timeout_s == 60.0
