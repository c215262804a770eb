"""How often someone may try to sign in.

Three allowances, each a bucket that fills again with time: per account and address together, per address, and per
account. Invariant: strangers cannot lock the owner out. The allowance of an account only takes away second tries: an
address that has not failed on that account yet always gets its first. Codes of an authenticator have only six digits,
and whoever tries them has the password: there the account's allowance is small and has no exception. Its owner has the
recovery codes, which nobody guesses and which it does not count.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import TooManyAttempts

_KEYS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """``burst`` tries at once, then one every ``refill_s`` seconds."""

    burst: int
    refill_s: float


PER_PAIR = Allowance(5, 60)
PER_ADDRESS = Allowance(30, 20)
PER_ACCOUNT = Allowance(100, 10)
CODES_PER_ACCOUNT = Allowance(10, 300)
"""Some 300 guesses a day, each right with 3 in a million: an account whose password is known falls in three years."""


class SignInThrottle:
    """Counts attempts of this process; a right password gives back what it cost."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._pairs = _Buckets(PER_PAIR, now)
        self._addresses = _Buckets(PER_ADDRESS, now)
        self._accounts = _Buckets(PER_ACCOUNT, now)
        self.codes = CodeThrottle(now)

    def take(self, email: str, address: str) -> None:
        """Count an attempt before its password is looked at. Raises TooManyAttempts."""
        network = _network(address)
        pair = f"{network} {email}"
        waits = [self._pairs.wait_s(pair), self._addresses.wait_s(network)]
        if not self._pairs.untouched(pair):
            waits.append(self._accounts.wait_s(email))
        if wait := max(waits):
            raise TooManyAttempts(
                f"Too many attempts to sign in; try again in {math.ceil(wait)} seconds.", retry_after_s=math.ceil(wait)
            )
        self._pairs.take(pair)
        self._addresses.take(network)
        self._accounts.take(email)

    def forgive(self, email: str, address: str) -> None:
        """The password was right: the attempt counts for nothing, and earlier ones of this pair are forgotten."""
        network = _network(address)
        self._pairs.forget(f"{network} {email}")
        self._addresses.give_back(network)
        self._accounts.give_back(email)


class CodeThrottle:
    """The same for the codes of second factors. ``guessable``: it is one of an authenticator's six digits."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._pairs = _Buckets(PER_PAIR, now)
        self._accounts = _Buckets(CODES_PER_ACCOUNT, now)

    def take(self, email: str, address: str, guessable: bool) -> None:
        """Count an attempt before its code is looked at. Raises TooManyAttempts."""
        pair = f"{_network(address)} {email}"
        wait = math.ceil(max(self._pairs.wait_s(pair), self._accounts.wait_s(email) if guessable else 0.0))
        if wait:
            raise TooManyAttempts(f"Too many codes were tried; try again in {wait} seconds.", retry_after_s=wait)
        self._pairs.take(pair)
        if guessable:
            self._accounts.take(email)

    def forgive(self, email: str, address: str, guessable: bool) -> None:
        """The code was right: this attempt counts for nothing. What others tried on the account still counts."""
        self._pairs.forget(f"{_network(address)} {email}")
        if guessable:
            self._accounts.give_back(email)


class _Buckets:
    """Buckets by key. A full bucket is not kept, and the least recently used one is dropped when there are too many."""

    def __init__(self, allowance: Allowance, now: Callable[[], float]) -> None:
        self._allowance = allowance
        self._now = now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def _missing_s(self, key: str) -> float:
        return max(0.0, self._full_at.get(key, 0.0) - self._now())

    def wait_s(self, key: str) -> float:
        """How long until there is a try left; 0 when there is one."""
        spare = (self._allowance.burst - 1) * self._allowance.refill_s
        return max(0.0, self._missing_s(key) - spare)

    def untouched(self, key: str) -> bool:
        return self._missing_s(key) == 0

    def take(self, key: str) -> None:
        # the account's bucket may be overdrawn by first tries, but never by more than it holds
        most = self._allowance.burst * self._allowance.refill_s
        self._full_at[key] = self._now() + min(self._missing_s(key) + self._allowance.refill_s, most)
        self._full_at.move_to_end(key)
        while len(self._full_at) > _KEYS_MAX:
            self._full_at.popitem(last=False)

    def give_back(self, key: str) -> None:
        if key in self._full_at:
            self._full_at[key] -= self._allowance.refill_s

    def forget(self, key: str) -> None:
        self._full_at.pop(key, None)


def _network(address: str) -> str:
    """The address, or the /64 that one subscriber of IPv6 has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
