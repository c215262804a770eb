"""Real agents of one real server: ``python agent/main.py``, each in a process and a state folder of its own."""

import asyncio
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.agent_process import AgentProcess, environment
from tests.support.zygote import Zygote

MAIN = Path(__file__).parents[2] / "agent" / "main.py"
AT_ONCE = 8
"""How many start at the same time, so that each gets to connect before its attempt times out."""


class Fleet:
    """Agents by number; ``name`` begins their machine ids. Whatever was started is ended by ``tidy``."""

    def __init__(
        self,
        folder: Path,
        server_url: str | None,
        name: str = "machine",
        zygote: Zygote | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self._zygote = zygote
        self.name = name
        self.settings = {"server_url": server_url, "reconnect_delay": 0.3, "reconnect_attempts": 0, **settings}
        self.running: dict[int, AgentProcess] = {}
        self.started: list[AgentProcess] = []

    def state_dir(self, number: int) -> Path:
        """The state folder of agent ``number``."""
        return self.folder / f"agent-{number:02}"

    def machine_id(self, number: int) -> str:
        """The machine id of agent ``number``, if the settings do not say another."""
        return f"{self.name}-{number:02}"

    def copy(self, number: int, other: int) -> None:
        """Copy the state folder of agent ``number`` while it runs; what it is about to rename is not there yet."""
        shutil.copytree(self.state_dir(number), self.state_dir(other), ignore=shutil.ignore_patterns(".*.tmp"))

    async def start(
        self,
        number: int,
        *arguments: str,
        outside: Mapping[str, str] | None = None,
        label: str = "",
        **settings: Any,
    ) -> AgentProcess:
        """Start agent ``number`` on its folder, which stays when it ends; ``outside`` are no settings of ours. With a
        zygote it may be one that dies at the point ``label``."""
        state_dir = self.state_dir(number)
        state_dir.mkdir(mode=0o700, exist_ok=True)
        env = environment(state_dir, **{"machine_id": self.machine_id(number), **self.settings, **settings})
        env |= outside or {}
        arguments = arguments or ("run",)
        if self._zygote and not outside:
            agent = AgentProcess(await self._zygote.start(env, *arguments, label=label))
        else:
            agent = await AgentProcess.start(env, *arguments, program=(str(MAIN),))
        self.started.append(agent)
        self.running[number] = agent
        return agent

    async def start_all(self, numbers: Sequence[int], **settings: Any) -> None:
        """Start these and wait until each has registered."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def start(number: int) -> None:
            async with turn:
                agent = await self.start(number, **settings)
                await agent.logged("Registration successful")

        await asyncio.gather(*(start(number) for number in numbers))

    async def kill(self, *numbers: int) -> None:
        """kill -9 of these."""
        for number in numbers:
            self.running[number].process.send_signal(signal.SIGKILL)
        for number in numbers:
            await self.running.pop(number).end()

    async def tidy(self) -> None:
        """End everything that still runs."""
        await asyncio.gather(*(agent.tidy() for agent in self.started))
