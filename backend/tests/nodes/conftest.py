"""Two servers on one PostgreSQL, in the test's own process."""

from typing import Any

import pytest

from tests.support.node import RunningNode, Serve
from tests.support.pairs import Channels, Pair, two


@pytest.fixture
def channels(monkeypatch: pytest.MonkeyPatch) -> Channels:
    """The channels between the servers."""
    return Channels(monkeypatch)


@pytest.fixture
def pair(serve: Serve) -> Pair:
    """``await pair()``: two servers that know each other."""

    async def start(**settings: Any) -> tuple[RunningNode, RunningNode]:
        return await two(serve, **settings)

    return start
