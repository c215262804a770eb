"""Fixtures of the tests about tasks: a server that hands them out, and an agent that is registered with it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import AgentProcess, StartAgent
from tests.support.task_peer import Ready, TaskPeer

collect_ignore = [] if os.geteuid() == 0 else ["test_as_root.py"]


@pytest.fixture
async def peer(state_dir: Path) -> AsyncIterator[TaskPeer]:
    async with TaskPeer.running(state_dir) as peer:
        yield peer


@pytest.fixture
async def ready(peer: TaskPeer, start_agent: StartAgent) -> Ready:
    """``await ready(**settings)``: an agent that listens for tasks."""

    async def start(**settings: Any) -> AgentProcess:
        agent = await start_agent(server_url=peer.origin, **settings)
        await agent.logged("Agent ready - Listening for commands")
        return agent

    return start
