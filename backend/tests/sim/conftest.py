"""What the simulator's tests share: a server that it may judge."""

import json

import pytest

from tests.support.node import RunningNode, Serve
from tests.support.server import MakePerson
from tests.support.simulated import Simulate, Simulated, command


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    """A server on each kind of database."""
    return await serve()


@pytest.fixture
async def simulate(node: RunningNode, person: MakePerson) -> Simulate:
    """``await simulate("--agents", "20")``: a simulation against that server by an administrator."""
    ada = await person()

    async def run(*arguments: str) -> Simulated:
        code, out, err = await command("--url", node.url, "--json", *arguments, DEPLOYX_TOKEN=ada.token)
        assert out, err
        return Simulated(code, json.loads(out), err)

    return run
