"""The agent of the model: all of it but the socket and the programs it starts, on a state folder that outlives it."""

import asyncio
import logging
import random
import shutil
from pathlib import Path
from typing import Any

from deployx_agent.connection.keeper import Keeper
from deployx_agent.connection.progress import Progress
from deployx_agent.connection.registration import Registrar
from deployx_agent.connection.retry import Retry
from deployx_agent.connection.session import Pace
from deployx_agent.enrollment import Enrollment
from deployx_agent.identity import Identity
from deployx_agent.logs import Log
from deployx_agent.state.status import StatusFile
from deployx_agent.tasks.engine import Engine
from tests.model.network import AgentLink, Network
from tests.model.process import Clock, Process

ORIGIN = "http://server.model:8000"
RECONNECT_DELAY_S = 5.0
PARALLEL = 2


class Ears(Log):
    """The agent's log: it only listens for bugs."""

    def __init__(self, bugs: list[str]) -> None:
        super().__init__(logging.getLogger("model.agent"))
        self._bugs = bugs

    def bug(self, words: str, error: BaseException, **fields: Any) -> None:
        self._bugs.append(f"{words}: {error!r}")

    def _write(self, level: int, words: str, fields: dict[str, Any]) -> None:
        """Nobody reads it."""


class AgentProcess(Process):
    """One run of the agent on ``folder``."""

    def __init__(self, clock: Clock, network: Network, folder: Path, bugs: list[str]) -> None:
        super().__init__(clock, bugs)
        self._network = network
        log = Ears(bugs)
        facts = folder / "no-facts"
        identity = Identity(folder, facts, "model-machine", log)
        self.engine = Engine(folder / "tasks", PARALLEL, log)
        enrollment = Enrollment(folder, ORIGIN, None, log)
        registrar = Registrar(
            identity, enrollment, self.engine.store, ORIGIN, "model-agent", {}, facts, watch_only=False
        )
        self.keeper = Keeper(
            registrar,
            self.engine,
            Progress(_Unshown(folder), log),
            Retry(0, RECONNECT_DELAY_S, random.random),
            Pace(10.0, None, None),
            10.0,
            lambda deliver: AgentLink(network, self, deliver),
            log,
        )
        self.boot_id = identity.boot_id
        self.start(self._run())

    async def _run(self) -> None:
        await self.engine.end_strays()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.engine.run())
            group.create_task(self.keeper.run())

    def knows(self, task_id: str) -> bool:
        """Whether its journal has this task."""
        return self.engine.store._journal.find(task_id) is not None

    def release(self) -> None:
        """The journal's lock goes with the process."""
        self.engine.close()

    def bury(self) -> None:
        """What waits is not to be started while the rest is unwound."""
        self.engine.turns.start_more = lambda: None  # type: ignore[method-assign]
        super().bury()

    async def closed(self) -> None:
        for entry in self.engine._entries.values():
            entry.spool.remove()


class _Unshown(StatusFile):
    """Nobody reads the status of this agent."""

    def update(self, **changes: Any) -> None:
        """Nothing to be done."""


class StateFolder:
    """The agent's folder, a snapshot of it, and what can happen to both while no agent runs."""

    def __init__(self, path: Path) -> None:
        self.path = path / "agent"
        self.path.mkdir()
        self._snapshot = path / "snapshot"
        self.kept = False

    def keep(self) -> None:
        """Take a snapshot."""
        shutil.rmtree(self._snapshot, ignore_errors=True)
        shutil.copytree(self.path, self._snapshot)
        self.kept = True

    def put_back(self) -> None:
        """Restore the snapshot."""
        shutil.rmtree(self.path)
        shutil.copytree(self._snapshot, self.path)

    def forget_tasks(self) -> None:
        """The journal and the spools are deleted."""
        shutil.rmtree(self.path / "tasks", ignore_errors=True)
