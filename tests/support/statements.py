"""Statements that are compiled once in a test process, not once for each engine: a test makes four, each knowing none.

Invariant: what is shared is what an engine keeps for itself (SQLAlchemy's compiled cache), between engines that say the
same in the same way: the two databases do not share. What a driver or a database prepares stays with its connection.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any
from unittest import mock

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.util import LRUCache

_KEPT = 3000
"""Statements of the product and of its tests; few tests make up ones of their own."""


class _Compiled:
    """A compiled cache whose keys name the dialect by its name; to SQLAlchemy each engine's is another one."""

    def __init__(self) -> None:
        self._kept: LRUCache[Any, Any] = LRUCache(_KEPT)

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        dialect, *statement = key
        return self._kept.get((dialect.name, *statement), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        dialect, *statement = key
        self._kept[(dialect.name, *statement)] = compiled


_engine = partial(create_async_engine, execution_options={"compiled_cache": _Compiled()})


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """Engines that are made meanwhile share what they compile."""
    with mock.patch("app.db.create_async_engine", _engine), mock.patch("app.sqlite.create_async_engine", _engine):
        yield
