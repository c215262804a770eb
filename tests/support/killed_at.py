"""Makes this process one that is killed at a point of ``crash_points.py``: one function of the product is wrapped, and
when it is reached, the process ends as by kill -9."""

import contextlib
import functools
import importlib
import inspect
import os
import signal
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

from tests.support.crash_points import Point, When


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point) -> None:
    """From now on this process ends when it reaches ``point``."""
    module_name, _, path = point.function.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    within: ContextVar[bool] = ContextVar("within", default=False)
    setattr(owner, name, _wrapped(getattr(owner, name), point, within))
    if point.when in (When.BEFORE_COMMIT, When.AFTER_COMMIT):
        _watch_commits(point.when, within)


def _wrapped(function: Any, point: Point, within: ContextVar[bool]) -> Any:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*arguments: Any, **named: Any) -> Any:
            counts = point.only(*arguments, **named)
            if counts and point.when is When.BEFORE:
                _die()
            within.set(counts)
            try:
                result = await function(*arguments, **named)
            finally:
                within.set(False)
            if counts and point.when is When.AFTER:
                _die()
            return result

        return later

    @functools.wraps(function)
    def at_once(*arguments: Any, **named: Any) -> Any:
        counts = point.only(*arguments, **named)
        if counts and point.when is When.BEFORE:
            _die()
        result = function(*arguments, **named)
        if counts and point.when is When.AFTER:
            _die()
        return result

    return at_once


def _watch_commits(when: When, within: ContextVar[bool]) -> None:
    from app.db import Database

    write = Database.write

    @contextlib.asynccontextmanager
    async def watched(self: Database) -> AsyncIterator[Any]:
        async with write(self) as session:
            yield session
            if within.get() and when is When.BEFORE_COMMIT:
                await session.flush()
                _die()
        if within.get():
            _die()

    Database.write = watched  # type: ignore[method-assign]
