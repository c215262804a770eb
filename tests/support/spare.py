"""The shells that wait for an agent's next task."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.agent_process import AgentProcess
from tests.support.task_peer import Ready, TaskPeer


async def until(condition: Callable[[], Any]) -> Any:
    """What ``condition`` says as soon as that is something."""
    async with asyncio.timeout(60):
        while not (found := condition()):
            await asyncio.sleep(0.02)
    return found


def waiting(agent: AgentProcess) -> list[int]:
    """The shells of this agent that wait behind a latch."""
    path = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children")
    children = [int(pid) for pid in path.read_text().split()]
    return [pid for pid in children if b"DEPLOYX_LATCH" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def spare(peer: TaskPeer, ready: Ready) -> tuple[AgentProcess, int]:
    """An agent that has had a task, and the process that waits for the next one."""
    agent = await ready()
    assert waiting(agent) == [], "who never gets a task has none"
    await peer.do("true")
    return agent, (await until(lambda: waiting(agent)))[0]
