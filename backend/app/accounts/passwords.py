"""Argon2id, in a pool of its own.

Invariant: a hash costs 64 MiB and some 50 ms, so at most two run at once and few may wait; and checking a password
costs the same whether or not the user exists.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.errors import InvalidInput, Unavailable
from app.settings import PASSWORD_MAX, PASSWORD_MIN

T = TypeVar("T")

_AT_ONCE = 2
_WAITING_MAX = 32


class Passwords:
    """Hashes and checks passwords without holding up the event loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """The hash to store. Raises Unavailable when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]:
        """Whether ``password`` is the one behind ``stored``, and a better hash if ``stored`` is out of date.

        ``None`` is nobody's hash: the answer is no, at the same price.
        """
        if not self._nobody:
            self._nobody = await self.hash("nobody has this password")
        matches, better = await self._run(lambda: self._hasher.verify_and_update(password, stored or self._nobody))
        return (matches, better) if stored else (False, None)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _WAITING_MAX:
            raise Unavailable("Too many people are signing in at once; try again in a moment.", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def check_password(password: str) -> str:
    """``password``. Raises InvalidInput when it is too short or too long."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise InvalidInput(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    return password
