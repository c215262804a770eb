"""Everything of one example: a server, a database, a machine with its agent, the network between, and the time."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any
from unittest import mock

import structlog

from tests.model.agent_side import AgentProcess, StateFolder
from tests.model.children import Machine, seams
from tests.model.database import Onlooker
from tests.model.network import Connection, Exchange, Network, deliver_down
from tests.model.process import Clock, Process
from tests.model.server_side import ServerProcess

_SMALLER = {"deployx_protocol.limits.OUTPUT_PREVIEW_BYTES": 64, "app.realtime.presence.GATHER_S": 0.0}
"""So that little output takes the way that much takes, and no agent waits for others, for there are none."""


class World:
    """One example. ``close`` it."""

    def __init__(self, onlooker: Onlooker, folder: Path) -> None:
        self.onlooker = onlooker
        self.clock = Clock()
        self.network = Network()
        self.machine = Machine()
        self.bugs: list[str] = []
        self.database_away = False
        self.agent: AgentProcess | None = None
        self.server: ServerProcess | None = None
        self.boots: set[str] = set()
        """Of every agent so far."""
        self.ever_started = False
        self._dead: list[Process] = []
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self.clock.instead_of_time())
        for name, replacement in {**seams(self.machine), **_SMALLER}.items():
            self._stack.enter_context(mock.patch(name, replacement))
        structlog.configure(processors=[self._hear], cache_logger_on_first_use=False)
        self._stack.callback(structlog.reset_defaults)
        onlooker.empty()
        path = Path(tempfile.mkdtemp(dir=folder))
        self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        self.folder = StateFolder(path)

    def _hear(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        """The server's log: it only listens for bugs."""
        if event.get("exc_info"):
            self.bugs.append(f"{event.get('event')}: {event['exc_info']!r} {sys.exc_info()[1]!r}")
        raise structlog.DropEvent

    # ------------------------------------------------------------ processes

    def start_server(self) -> None:
        """A new server on the database."""
        self.server = ServerProcess(self.clock, self.onlooker.engines, lambda: self.database_away, self.bugs)
        self.network.server = self.server
        self.settle()

    def start_agent(self) -> None:
        """A new agent on the state folder."""
        self.agent = AgentProcess(self.clock, self.network, self.folder.path, self.bugs)
        self.machine.agent = self.agent
        self.boots.add(self.agent.boot_id)
        self.ever_started = True
        self.settle()

    def kill_agent(self, keep: int = 0) -> None:
        """`kill -9`; ``keep`` messages that it sent are on their way already."""
        if self.agent:
            self.agent.kill()
            self._notice(keep)

    def kill_server(self, keep: int = 0) -> None:
        """The same of the server."""
        if self.server:
            self.server.kill()
            self._notice(keep)

    def let_on(self) -> None:
        """What was held up at a gate goes on."""
        for process in (self.agent, self.server):
            if process:
                process.let_on()
        self.settle()

    def settle(self) -> None:
        """Both ends do whatever there is to be done now."""
        for process in (self.agent, self.server):
            if process and not process.dead:
                process.loop.settle()
        self._notice(1)

    def _notice(self, keep: int) -> None:
        """Take note of who died."""
        if self.agent and self.agent.dead:
            self.machine.agent_died(self.agent)
            self.network.gone(self.agent, keep)
            self._dead.append(self.agent)
            self.agent = None
        if self.server and self.server.dead:
            self.network.gone(self.server, keep)
            self.network.server = None
            self._dead.append(self.server)
            self.server = None
        self.network.tidy()

    @property
    def connected(self) -> bool:
        """Whether the agent is registered on a good connection, and nothing is on its way."""
        good = [one for one in self.network.connections if not one.cut and one.agent_listens and one.server_listens]
        registered = self.server and any(one.sid in self.server.registered for one in good)
        return bool(registered) and not self.up() and not self.down()

    # ------------------------------------------------------------ time and network

    def pass_time(self, seconds: float) -> None:
        """Let time pass at once."""
        self.clock.now += seconds
        self.settle()

    def up(self) -> list[Connection | Exchange]:
        """What has something for the server."""
        waiting: list[Connection | Exchange] = [
            one for one in self.network.connections if one.up and one.server_listens and one.server is self.server
        ]
        waiting += [one for one in self.network.exchanges if not one.taken and one.server is self.server]
        return waiting

    def down(self) -> list[Connection | Exchange]:
        """What has something for the agent."""
        waiting: list[Connection | Exchange] = [
            one for one in self.network.connections if one.down and one.agent_listens
        ]
        waiting += [one for one in self.network.exchanges if one.answer and not one.client.dead]
        return waiting

    def deliver_up(self, one: Connection | Exchange, most: int = 1) -> None:
        """The server gets up to ``most`` messages, all at once."""
        assert self.server
        if isinstance(one, Exchange):
            self.server.answer(one)
        else:
            for _ in range(min(most, len(one.up))):
                self.server.deliver_up(one)
        self.settle()

    def deliver_down(self, one: Connection | Exchange, most: int = 1) -> None:
        """The agent gets up to ``most`` messages, all at once."""
        if isinstance(one, Exchange):
            one.deliver()
        else:
            for _ in range(min(most, len(one.down))):
                deliver_down(one)
        self.settle()

    def flow(self, rounds: int) -> None:
        """Deliver what there is, in turns."""
        for _ in range(rounds):
            waiting_up, waiting_down = self.up(), self.down()
            if not waiting_up and not waiting_down:
                return
            for one in waiting_up:
                if self.server and one in self.up():
                    self.deliver_up(one, 100)
            for one in waiting_down:
                if one in self.down():
                    self.deliver_down(one, 100)

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Unwind everything."""
        with self._stack:
            for process in (self.agent, self.server, *self._dead):
                if process:
                    process.kill()
                    self._stack.callback(process.bury)


_SHARED_MEMORY = Path("/dev/shm")


@contextlib.contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: nothing here is about what a disk forgets."""
    inside = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else otherwise
    folder = Path(tempfile.mkdtemp(prefix="deployx-model-", dir=inside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
