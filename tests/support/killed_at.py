"""A process that is killed at a point of ``crash_points.py``.

``python tests/support/killed_at.py agent LABEL run`` is the agent, ``… server LABEL serve`` the server: the product as
it is, but for one function that is wrapped before the start. When it is reached, the process ends as by kill -9.
"""

import contextlib
import functools
import importlib
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parents[2])  # in place of this folder, whose names are those of other modules

from tests.support.crash_points import AGENT, SERVER, Point, When  # noqa: E402


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


def main(side: str, label: str, *arguments: str) -> int:
    """Run the agent or the server until it is killed."""
    sys.argv[1:] = arguments
    if side == "agent":
        arm(AGENT[label])
        from deployx_agent.cli import main as agent

        return agent()
    arm(SERVER[label])
    from app.cli import main as server

    server()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
