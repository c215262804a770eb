"""Coroutines that need not wait, run where they are begun: a task, and the turn of the loop it takes, cost more."""

import types
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any


def begin(step: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run ``step`` until it waits; what is to be awaited to go on with it, None when it is done. Raises what it raises.

    Until it waits it runs outside of any task, so it may not enter ``asyncio.timeout`` or a task group before that.
    """
    try:
        waits_for = step.send(None)
    except StopIteration:
        return None
    return _rest(step, waits_for)


async def _rest(step: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await _going_on(step, waits_for)


@types.coroutine
def _going_on(step: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """What has begun cannot be awaited: hand on what it waits for, and what came of that."""
    while True:
        try:
            got = yield waits_for
        except BaseException as error:
            go_on = partial(step.throw, error)
        else:
            go_on = partial(step.send, got)
        try:
            waits_for = go_on()
        except StopIteration:
            return
