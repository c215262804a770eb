"""Calls that block, each in a thread of its own that nothing waits for.

asyncio's own pool is waited for before Python exits. The system's lookup cannot be interrupted and takes half a minute
when no name server answers; then a stop would be a kill by the service manager.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
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
            failure = error  # the name in the clause above is gone when the loop comes to it
            outcome: Callable[[], None] = lambda: found.set_exception(failure)  # noqa: E731
        else:
            outcome = lambda: found.set_result(answer)  # noqa: E731
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await found
