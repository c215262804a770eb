"""Tasks that live as long as the server: an error in one is logged, and it starts again. And what they do in turns."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.errors import Unavailable

log = structlog.get_logger()

RESTART_DELAY_S = 1.0


async def supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run ``run`` until cancelled, again after each error."""
    while True:
        try:
            await run()
            return
        except Exception:
            log.exception("task.failed", task=name, restart_in_s=RESTART_DELAY_S)
            await asyncio.sleep(RESTART_DELAY_S)


async def every(
    interval_s: float,
    step: Callable[[], Awaitable[None]],
    away: Callable[[Unavailable], None] = lambda _: None,
    *,
    at_once: bool = False,
) -> None:
    """Do ``step`` once in each interval, until cancelled. When the database is ``away``, the next turn asks again."""
    if not at_once:
        await asyncio.sleep(interval_s)
    while True:
        try:
            await step()
        except Unavailable as error:
            away(error)
        await asyncio.sleep(interval_s)
