"""Calls that block, each in a thread of its own that nothing waits for.

asyncio's own pool is waited for before Python exits. The system's lookup cannot be interrupted and takes half a minute
when no name server answers; then a stop would be a kill by the service manager.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T], name: str) -> T:
    """What ``call`` returns, or raises. If this is cancelled, the call goes on and nobody hears of its end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[T] = loop.create_future()

    def finish(set_outcome: Callable[[], None]) -> None:
        if not found.done():
            set_outcome()

    def run() -> None:
        try:
            answer = call()
        except Exception as error:  # whatever it is, it belongs to the waiting task
            outcome: Callable[[], None] = partial(found.set_exception, error)
        else:
            outcome = partial(found.set_result, answer)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await found
