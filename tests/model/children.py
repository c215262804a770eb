"""What the machine of the model executes: programs that do what the model says, and a record of what was executed.

The record is the oracle: it is kept here, by what was let go, whatever the agent or the server believe.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployx_agent.tasks.command import Command
from deployx_agent.tasks.processes import TASK_VARIABLE
from deployx_agent.tasks.spool import Spool
from tests.model.process import Process

KILLED = -15
NEVER_RAN = 126


@dataclass(frozen=True)
class Plan:
    """What a program does: prints these pieces (stream, text), then ends with ``exit_code``."""

    pieces: tuple[tuple[int, str], ...] = ()
    exit_code: int = 0

    @property
    def text(self) -> str:
        """As it stands in a run's command, or in its script."""
        return json.dumps([self.pieces, self.exit_code])

    @classmethod
    def of(cls, command: Command) -> "Plan":
        """What this command does; a script is read, as its interpreter would."""
        last = command.argv[-1]
        pieces, exit_code = json.loads(last if last.startswith("[") else Path(last).read_text())
        return cls(tuple((stream, text) for stream, text in pieces), exit_code)


class Child:
    """One program, as `deployx_agent.tasks.child` has it."""

    quick = False
    """The model stops the agent between any two steps, so none may be taken in a thread."""

    def __init__(self, machine: "Machine", agent: Process, command: Command, pid: int) -> None:
        self._machine = machine
        self.agent = agent
        self.program = command.argv[0]
        self.task_id = command.env[TASK_VARIABLE]
        self.plan = Plan.of(command)
        self.pid = pid
        self.mark = f"mark-{pid}"
        self.printed = 0
        self.ran = False
        self.began = 0.0
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """What it ended with."""
        self._hear: Callable[[int, bytes], None] | None = None

    # ------------------------------------------------------------ from the agent

    def listen(self, spool: Spool, on_output: Callable[[], None], _threads: Executor) -> None:
        """What it prints is kept at once."""

        def hear(stream: int, data: bytes) -> None:
            spool.append(stream, data)
            on_output()

        self._hear = hear

    def let_go(self) -> None:
        """The latch opens: from here on the task is executed."""
        if not self.agent.dead:
            self.ran = True
            self._machine.executed[self.task_id] += 1

    async def end(self) -> None:
        """It obeys."""
        self.is_over(KILLED)

    async def finish(self) -> int:
        """Until it is over; who was not let go is, now that the latch is closed."""
        if not self.ran and not self.agent.dead:
            self.is_over(NEVER_RAN)
        await asyncio.wait([self.over])
        return self.over.result()

    # ------------------------------------------------------------ from the model

    @property
    def runs(self) -> bool:
        """Whether it executes the task now."""
        return self.ran and not self.over.done()

    def print(self) -> bool:
        """Print the next piece; False when there is none left."""
        if self.printed == len(self.plan.pieces):
            return False
        stream, text = self.plan.pieces[self.printed]
        self.printed += 1
        if self._hear and not self.agent.dead:
            self._hear(stream, text.encode())
        return True

    def exit(self) -> None:
        """Print what is left and end."""
        while self.print():
            pass
        self._machine.completed[self.task_id] += 1
        self.is_over(self.plan.exit_code)

    def is_over(self, status: int) -> None:
        """It has ended."""
        if not self.over.done():
            self.over.set_result(status)


@dataclass
class Machine:
    """All programs of one machine. They outlive the agent that started them."""

    executed: Counter[str] = field(default_factory=Counter)
    """How often each task was let go."""
    completed: Counter[str] = field(default_factory=Counter)
    """How often it came to its own end."""
    abandoned: set[str] = field(default_factory=set)
    """Tasks whose agent was killed after it had made their program: it may not have journalled the end."""
    children: list[Child] = field(default_factory=list)
    agent: Process | None = None
    """The one that starts programs now."""

    def start(self, command: Command) -> Child:
        """A program behind its latch."""
        assert self.agent
        child = Child(self, self.agent, command, 10_000 + len(self.children))
        self.children.append(child)
        return child

    def running(self) -> list[Child]:
        """What executes now."""
        return [child for child in self.children if child.runs]

    def agent_died(self, agent: Process) -> None:
        """The pipes of its children break: who waits behind a latch ends, who prints is not heard any more."""
        for child in self.children:
            if child.agent is agent:
                self.abandoned.add(child.task_id)
                if not child.ran:
                    child.is_over(NEVER_RAN)


class Processes:
    """`deployx_agent.tasks.processes` of this machine, for what an earlier agent left."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def rebooted(self, _mark: str) -> bool:
        """It never is."""
        return False

    def leaders(self, _owner: str) -> dict[int, str]:
        """What runs of the agent's tasks: there is one agent here."""
        return {child.pid: child.task_id for child in self._machine.running()}

    def is_left_over(self, pgid: int, mark: str, task_id: str, _owner: str) -> bool:
        """Whether it is the one that was started for the task, and goes on."""
        return any((c.pid, c.mark, c.task_id) == (pgid, mark, task_id) and c.runs for c in self._machine.children)

    async def end(self, pgid: int) -> bool:
        """End it."""
        for child in self._machine.children:
            if child.pid == pgid:
                child.is_over(KILLED)
        return True


def seams(machine: Machine) -> dict[str, Any]:
    """What of `deployx_agent.tasks` is replaced by ``machine``: as little as starts, reads and ends programs."""
    processes = Processes(machine)
    return {
        "deployx_agent.tasks.child.start": machine.start,
        "deployx_agent.tasks.engine.processes": processes,
        "deployx_agent.tasks.recovery.processes": processes,
        "deployx_agent.tasks.spare.Spare.make": lambda _: None,
    }
