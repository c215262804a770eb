"""Fixtures of the tests about releases: a server that has some, and an agent that is registered with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import AgentProcess, environment
from tests.support.release_peer import ReleasePeer
from tests.support.task_peer import Ready
from tests.support.zygote import Zygotes


@pytest.fixture
async def peer(state_dir: Path) -> AsyncIterator[ReleasePeer]:
    async with ReleasePeer.running(state_dir) as peer:
        yield peer


@pytest.fixture
async def ready(peer: ReleasePeer, zygotes: Zygotes, tmp_path: Path, state_dir: Path) -> AsyncIterator[Ready]:
    """``await ready(**settings)``: an agent that listens for tasks. Nothing restarts this machine."""
    started: list[AgentProcess] = []

    async def start(**settings: Any) -> AgentProcess:
        given = {"reboot_command": f"touch {tmp_path}/rebooted", "reconnect_delay": 0.05, **settings}
        env = environment(state_dir, server_url=peer.origin, **given)
        agent = AgentProcess(await zygotes.of("agent").start(env, "run"))
        started.append(agent)
        await agent.logged("Agent ready - Listening for commands")
        return agent

    yield start
    for agent in started:
        await agent.tidy()
