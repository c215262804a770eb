"""Two servers on one PostgreSQL in the test's own process, and the channels between them."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.realtime.notifications import NotificationBus
from tests.support.node import RunningNode, Serve, eventually

LEASE_S = 20.0
"""Long: a machine that is busy with other tests is no lost server."""
POLL_S = 0.5


class Channels:
    """What servers tell each other by; while they are ``cut`` none can be made. To be cut before the servers start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_cut = False
        connect = NotificationBus._connect

        async def try_to_connect(bus: NotificationBus) -> Any:
            if self.is_cut:
                raise OSError("the channel is cut")
            return await connect(bus)

        monkeypatch.setattr(NotificationBus, "_connect", try_to_connect)


Pair = Callable[..., Awaitable[tuple[RunningNode, RunningNode]]]


async def two(serve: Serve, **settings: Any) -> tuple[RunningNode, RunningNode]:
    """Two servers that know each other."""
    often = {"node_lease_s": LEASE_S, "poll_interval_s": POLL_S, "drain_s": 0, "enrollment": "approval"}
    first, second = [await serve(**often | settings) for _ in range(2)]
    for node, other in itertools.permutations((first, second)):
        await eventually(lambda node=node, other=other: node_id(other) in node.app.state.live_nodes())
    return first, second


def node_id(node: RunningNode) -> str:
    """The id under which a server has its lease."""
    return str(node.app.state.node_id)
