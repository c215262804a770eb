"""Calls off what waits on devices that its starter may not run on any more: a device that was away does not find it.

It follows the end of a share, after the commit: what an agent has begun by then goes on, and stays on record.
"""

import asyncio
from collections.abc import Sequence

from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.tasks.cancelling import Cancelling

AGAIN_S = 1.0
"""How long to wait when the database is away."""


class Withdrawing:
    """Hears whose shares changed, and looks at what they have waiting."""

    def __init__(self, cancelling: Cancelling) -> None:
        self._cancelling = cancelling
        self._users: set[int] = set()
        self._woken = asyncio.Event()

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note."""
        users = {hint.user_id for hint in hints if hint.kind is HintKind.SHARES}
        if users:
            self._users |= users
            self._woken.set()

    async def run(self) -> None:
        """Withdraw, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._users:
                user_id = self._users.pop()
                try:
                    await self._cancelling.withdraw(user_id)
                except Unavailable:
                    self._users.add(user_id)
                    await asyncio.sleep(AGAIN_S)
