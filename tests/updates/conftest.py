"""Fixtures of the tests about updates of the agent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.agent_process import AgentProcess, environment
from tests.support.agent_updates import Publisher
from tests.support.release_peer import ReleasePeer
from tests.support.update_wheels import third_party

Ready = Callable[..., Awaitable[AgentProcess]]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return third_party(tmp_path_factory.mktemp("wheels") / "packages")


@pytest.fixture
def publisher(tmp_path: Path, wheels: dict[str, Path]) -> Publisher:
    return Publisher.make(tmp_path / "publisher", wheels)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


class UpdatePeer(ReleasePeer):
    """A server that also says that it is ready, and can say that it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.is_ready = True

    def extend(self, application: web.Application) -> None:
        super().extend(application)
        application.router.add_get("/readyz", self._readyz)

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.is_ready else 503)


@pytest.fixture
async def peer(state_dir: Path) -> AsyncIterator[UpdatePeer]:
    async with UpdatePeer.running(state_dir) as peer:
        yield peer


@pytest.fixture
async def ready(peer: ReleasePeer, publisher: Publisher, state_dir: Path) -> AsyncIterator[Ready]:
    """``await ready(**settings)``: an agent, started as a service starts it, that listens for tasks."""
    started: list[AgentProcess] = []

    async def start(*, wait: bool = True, **settings: Any) -> AgentProcess:
        given = {"reconnect_delay": 0.05, "update_root": publisher.root, "no_software": "1", **settings}
        agent = await AgentProcess.start(environment(state_dir, server_url=peer.origin, **given), "run")
        started.append(agent)
        if wait:
            await agent.logged("Agent ready - Listening for commands")
        return agent

    yield start
    for agent in started:
        await agent.tidy()
