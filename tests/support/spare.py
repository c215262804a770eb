"""The shells that wait for an agent's next task."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.agent_process import AgentProcess


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
