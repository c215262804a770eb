"""Fixtures of the agent's tests: a scripted server and real agents, both gone when the test is."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import AgentProcess, StartAgent, environment
from tests.support.scripted_peer import Peer
from tests.support.zygote import Zygotes


@pytest.fixture
async def peer(state_dir: Path) -> AsyncIterator[Peer]:
    async with Peer.running(state_dir) as peer:
        yield peer


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(scope="session")
def zygotes() -> Iterator[Zygotes]:
    """Agents that start in a moment."""
    made = Zygotes()
    yield made
    made.end()


@pytest.fixture
async def start_agent(state_dir: Path, zygotes: Zygotes) -> AsyncIterator[StartAgent]:
    """``await start_agent("run", server_url=…)``; the first-try delay is tiny unless a test says otherwise.

    It is forked from one that is loaded, unless another program starts it (``under``) or ``forked=False``: where its
    start or its memory is what matters."""
    started: list[AgentProcess] = []

    async def start(
        *arguments: str, folder: Path | None = None, under: Sequence[str] = (), forked: bool = True, **settings: Any
    ) -> AgentProcess:
        settings.setdefault("reconnect_delay", 0.05)
        env = environment(folder or state_dir, **settings)
        arguments = arguments or ("run",)
        if forked and not under:
            agent = AgentProcess(await zygotes.of("agent").start(env, *arguments))
        else:
            agent = await AgentProcess.start(env, *arguments, under=under)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        await agent.tidy()
