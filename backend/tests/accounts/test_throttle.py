"""Guessing is slow, from one address and from many; and it never locks the owner out."""

import pytest

from app.accounts.throttle import PER_ACCOUNT, PER_ADDRESS, PER_PAIR, SignInThrottle
from app.errors import TooManyAttempts


class Now:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def tries(throttle: SignInThrottle, email: str, address: str, most: int = 1000) -> int:
    """How many attempts in a row are let through."""
    for count in range(most):
        try:
            throttle.take(email, address)
        except TooManyAttempts:
            return count
    return most


def test_one_address_has_few_tries_on_one_account() -> None:
    now = Now()
    throttle = SignInThrottle(now)
    assert tries(throttle, "a@x", "192.0.2.1") == PER_PAIR.burst
    with pytest.raises(TooManyAttempts) as refused:
        throttle.take("a@x", "192.0.2.1")
    assert refused.value.retry_after_s == PER_PAIR.refill_s
    now.s += PER_PAIR.refill_s
    assert tries(throttle, "a@x", "192.0.2.1") == 1


def test_one_address_has_few_tries_on_all_accounts() -> None:
    throttle = SignInThrottle(Now())
    assert sum(tries(throttle, f"user{n}@x", "192.0.2.1") for n in range(50)) == PER_ADDRESS.burst


def test_an_ipv6_subscriber_is_one_address() -> None:
    throttle = SignInThrottle(Now())
    assert sum(tries(throttle, "a@x", f"2001:db8::{n:x}", 1) for n in range(50)) == PER_PAIR.burst
    assert tries(throttle, "a@x", "2001:db8:0:1::1", 1) == 1


def test_many_addresses_together_have_few_second_tries() -> None:
    throttle = SignInThrottle(Now())
    let_through = [tries(throttle, "a@x", f"10.0.{n // 250}.{n % 250}") for n in range(500)]
    assert sum(let_through) <= PER_ACCOUNT.burst + len(let_through)
    assert set(let_through[PER_ACCOUNT.burst :]) == {1}


def test_strangers_cannot_lock_the_owner_out() -> None:
    throttle = SignInThrottle(Now())
    for n in range(2000):
        tries(throttle, "owner@x", f"10.{n // 250}.{n % 250}.1")
    throttle.take("owner@x", "192.0.2.1")
    throttle.forgive("owner@x", "192.0.2.1")
    throttle.take("owner@x", "192.0.2.1")


def test_a_right_password_costs_nothing() -> None:
    throttle = SignInThrottle(Now())
    for _ in range(300):
        throttle.take("a@x", "192.0.2.1")
        throttle.forgive("a@x", "192.0.2.1")


def test_memory_is_bounded() -> None:
    throttle = SignInThrottle(Now())
    for n in range(25_000):
        throttle.take(f"{n}@x", f"10.{n // 65536}.{n // 256 % 256}.{n % 256}")
    kept = (throttle._pairs, throttle._addresses, throttle._accounts)
    assert max(len(buckets._full_at) for buckets in kept) == 20_000
