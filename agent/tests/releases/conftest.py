"""Fixtures of the tests about releases: a server that has some, and an agent that is registered with it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import AgentProcess, StartAgent
from tests.support.release_peer import ReleasePeer
from tests.support.task_peer import Ready


@pytest.fixture
async def peer(state_dir: Path) -> AsyncIterator[ReleasePeer]:
    async with ReleasePeer.running(state_dir) as peer:
        yield peer


@pytest.fixture
async def ready(peer: ReleasePeer, start_agent: StartAgent, tmp_path: Path) -> Ready:
    """``await ready(**settings)``: an agent that listens for tasks. Nothing restarts this machine."""

    async def start(**settings: Any) -> AgentProcess:
        settings.setdefault("reboot_command", f"touch {tmp_path}/rebooted")
        agent = await start_agent(server_url=peer.origin, **settings)
        await agent.logged("Agent ready - Listening for commands")
        return agent

    return start
