"""Tasks that live as long as the server: an error in one is logged, and it starts again."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

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
