"""Coroutines that begin at once, and become a task only if they have to wait."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

_BESIDE: set[asyncio.Task[Any]] = set()


def begin(
    step: Coroutine[Any, Any, Any], then: Callable[[Any, Any], None] | None = None, given: Any = None
) -> asyncio.Task[Any] | None:
    """Run ``step`` until it waits; the task that goes on with it, None when it is done. Raises what it raises by then.

    ``then`` is called with ``given`` and what ``step`` returned. Until it waits ``step`` runs outside of any task: it
    may not enter ``asyncio.timeout`` or a task group before that.
    """
    try:
        waits_for = step.send(None)
    except StopIteration as done:
        value = done.value
    else:
        task = asyncio.get_running_loop().create_task(_rest(step, waits_for, then, given))
        _BESIDE.add(task)
        task.add_done_callback(_BESIDE.discard)
        return task
    if then is not None:
        then(given, value)
    return None


def at_once(step: Coroutine[Any, Any, Any]) -> Any:
    """What ``step`` returns. Raises RuntimeError if it waits for anything."""
    try:
        step.send(None)
    except StopIteration as done:
        return done.value
    step.close()
    raise RuntimeError(f"{step!r} waits, where nothing can")


async def _rest(
    step: Coroutine[Any, Any, Any], waits_for: Any, then: Callable[[Any, Any], None] | None, given: Any
) -> Any:
    value = await _going_on(step, waits_for)
    if then is not None:
        then(given, value)
    return value


@types.coroutine
def _going_on(step: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """A coroutine that runs already cannot be awaited; this hands on what goes in and out of it."""
    while True:
        try:
            got = yield waits_for
        except BaseException as error:  # cancellation most of all: it is the step's to take
            go_on = partial(step.throw, error)
        else:
            go_on = partial(step.send, got)
        try:
            waits_for = go_on()
        except StopIteration as done:
            return done.value
