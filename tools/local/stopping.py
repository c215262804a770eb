"""What `make run`, `make dev` and `make demo` have in common: they go on until they end or are asked to stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from local import terminal


async def until_asked(asked: asyncio.Event, work: Coroutine[Any, Any, None]) -> BaseException | None:
    """Do `work` until it ends or `asked` is set, then cancel it; with what it ended, if not well."""
    working, stop = asyncio.create_task(work), asyncio.create_task(asked.wait())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not working.done():
        terminal.say("\nStopping …")
        working.cancel()
    return (await asyncio.gather(working, return_exceptions=True))[0]
