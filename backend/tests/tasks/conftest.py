"""What the tests of tasks share: a server that trusts, and agents whose tasks the tests do by hand."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.realtime import dispatcher
from tests.support.machines import Machine
from tests.support.node import RunningNode, Serve
from tests.support.peers import Peer
from tests.support.server import Browse, MakePerson
from tests.support.work import Api, Enter, WorkPeer, trust


@pytest.fixture(autouse=True)
def _quick_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The net below the hints is asked more often than it is worth outside of tests."""
    monkeypatch.setenv("DEPLOYX_POLL_INTERVAL", "0.3")


@pytest.fixture
def short_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents have little time to say that they heard; by `usefixtures`, so that it is before the server."""
    monkeypatch.setattr(dispatcher, "RECEIPT_S", 0.5)


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    """A server on each kind of database."""
    return await serve(enrollment="approval")


@pytest.fixture
async def enter(node: RunningNode, peers: list[Peer]) -> Enter:
    """A trusted agent that is connected, and the id of its device: `await enter()`, or again with its machine.

    ``before`` is called with the device id when the device is trusted and away, before the agent connects.
    """

    async def start(
        machine: Machine | None = None,
        *,
        before: Callable[[int], Awaitable[Any]] | None = None,
        at: RunningNode | None = None,
        boot_id: str = "",
        **changes: Any,
    ) -> tuple[WorkPeer, int]:
        url = (at or node).url
        if machine is None:
            machine = Machine()
            first = WorkPeer(url, machine)
            await first.start()
            await first.close()
            await node.status(machine.agent_id, "offline")
            await trust(node.db, machine.agent_id)
        device_id = (await node.device(machine.agent_id)).id
        if before:
            await before(device_id)
        peer = WorkPeer(url, machine, boot_id=boot_id)
        peers.append(peer)
        await peer.start(**changes)
        return peer, device_id

    return start


@pytest.fixture
async def api(node: RunningNode, browse: Browse, person: MakePerson) -> Api:
    """What an administrator asks of the server."""
    ada = await person()
    return Api(browse(node, ada.bearer))
