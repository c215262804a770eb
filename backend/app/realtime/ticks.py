"""What publishers share: one tick after the other while something is noted, and a bounded share of it for each."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TypeVar

from app.errors import Unavailable

AGAIN_S = 1.0
"""How long to wait when the database is away."""
Key = TypeVar("Key")
Value = TypeVar("Value")


async def ticking(
    woken: asyncio.Event, tick_s: float, tell: Callable[[], Awaitable[None]], owed: Callable[[], bool]
) -> None:
    """Once ``woken``, ``tell`` after ``tick_s``, and again while something is ``owed``; until cancelled."""
    while True:
        await woken.wait()
        await asyncio.sleep(tick_s)
        woken.clear()
        try:
            await tell()
        except Unavailable:
            await asyncio.sleep(AGAIN_S)
        if owed():
            woken.set()


def take(noted: dict[Key, Value], most: int) -> dict[Key, Value]:
    """Remove the first of them: what is hinted at while they are read is noted anew."""
    return {key: noted.pop(key) for key in list(islice(noted, most))}
