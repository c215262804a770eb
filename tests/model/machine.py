"""The state machine: what may happen to a server, its database, an agent and the network between, in any order."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.tasks.schemas import RETRIED, RunRequest, Targets
from deployx_protocol.tasks import FINAL
from tests.model.children import Child, Plan
from tests.model.database import Onlooker
from tests.model.oracle import Oracle
from tests.model.process import Deed, Gate, Trap
from tests.model.server_side import OPERATOR, Asked
from tests.model.world import World

T = TypeVar("T")
NUMBERS = st.integers(0, 7)
PIECES = st.lists(st.tuples(st.sampled_from((1, 2)), st.sampled_from(("a", "bc\n", "d" * 60))), max_size=3).map(tuple)
PLANS = st.builds(Plan, PIECES, st.sampled_from((0, 0, 3)))
SKIPS = st.sampled_from((0, 0, 0, 1, 1, 2, 5))
AGENT_TRAPS = st.builds(
    Trap,
    st.sampled_from((Gate.DISK, Gate.DISK_DONE, Gate.SEND, Gate.SENT)),
    st.sampled_from((Deed.KILL, Deed.KILL, Deed.HOLD)),
    SKIPS,
)
SERVER_TRAPS = st.one_of(
    st.builds(Trap, st.sampled_from((Gate.BEGIN, Gate.COMMITTED)), st.sampled_from(Deed), SKIPS),
    st.builds(Trap, st.just(Gate.COMMIT), st.sampled_from((Deed.KILL, Deed.AWAY)), SKIPS),
    st.builds(Trap, st.sampled_from((Gate.SEND, Gate.SENT)), st.sampled_from((Deed.KILL, Deed.HOLD)), SKIPS),
)
STEPS_S = (0.06, 0.06, 0.06, 1.0, 1.0, 1.0, 5.5, 5.5, 5.5, 16.0, 16.0, 40.0, 700.0, 4_000.0)
HEALING_S = (0.1,) * 5 + (1.0,) * 15 + (4.0,) * 10
"""In these steps good time passes at the end; by then everything has to be over."""


def pick(items: Sequence[T], number: int) -> T:
    """One of ``items``."""
    return items[number % len(items)]


class DeliveryMachine(RuleBasedStateMachine):
    """One device and its server."""

    make: ClassVar[Callable[[], World]]
    """Gives each example its world."""
    seen: ClassVar[Counter[str]]
    """What came of it: examples, steps, and tasks by their last state."""

    def __init__(self) -> None:
        super().__init__()
        self.seen["examples"] += 1
        self.world = type(self).make()
        self.oracle = Oracle(self.world)
        self.asked: list[tuple[str, Asked]] = []
        self.runs_asked = 0
        self.forgetful = False

    @initialize(forgetful=st.sampled_from((False, False, True)), plan=PLANS, times=st.integers(1, 3))
    def begin(self, forgetful: bool, plan: Plan, times: int) -> None:
        """A trusted device is connected, and gets work. Only a ``forgetful`` one loses its journal."""
        self.forgetful = forgetful
        self.world.start_server()
        self.world.start_agent()
        self.world.flow(4)
        self.world.onlooker.trust()
        self.start_runs(plan, times, script=False)

    # ------------------------------------------------------------ the operator

    def _ask(self, what: str, asked: Any) -> None:
        assert self.world.server
        self.asked.append((what, self.world.server.ask(asked)))
        self.world.settle()

    @precondition(lambda self: self.world.server and self.runs_asked < 8)
    @rule(
        plan=PLANS,
        times=st.integers(1, 2),
        script=st.booleans(),
        expires_s=st.sampled_from((30.0, 3600.0, 3600.0)),
        timeout_s=st.sampled_from((20.0, 600.0)),
        max_parallel=st.sampled_from((None, None, 1)),
    )
    def start_runs(self, plan: Plan, times: int, script: bool, **limits: Any) -> None:
        """Somebody starts runs."""
        assert self.world.server
        what: dict[str, Any] = (
            {"script": plan.text, "interpreter": ["sh"]} if script else {"command": ["true", plan.text]}
        )
        for _ in range(times):
            if self.world.server:
                self.runs_asked += 1
                request = RunRequest(**what, **limits, targets=Targets(device_ids=[self.world.onlooker.device().id]))
                self._ask("start", self.world.server.runs.start(OPERATOR, request))

    @precondition(lambda self: self.world.server and self.runs_asked < 8)
    @rule(number=NUMBERS)
    def retry(self, number: int) -> None:
        """Somebody repeats a run."""
        runs = self.world.onlooker.run_ids()
        if runs and self.world.server:
            self.runs_asked += 1
            self._ask("start", self.world.server.runs.retry(OPERATOR, pick(runs, number), RETRIED))

    @precondition(lambda self: self.world.server)
    @rule(number=NUMBERS)
    def cancel(self, number: int) -> None:
        """Somebody calls a task off."""
        open_tasks = [id for id, row in self.world.onlooker.tasks().items() if row.state not in FINAL]
        if open_tasks and self.world.server:
            task_id = pick(open_tasks, number)
            self.oracle.called_off.add(task_id)
            self._ask("cancel", self.world.server.cancelling.cancel_task(OPERATOR, task_id))

    # ------------------------------------------------------------ the network

    @precondition(lambda self: self.world.up())
    @rule(number=NUMBERS, most=st.integers(1, 3))
    def deliver_up(self, number: int, most: int) -> None:
        """The server gets messages."""
        self.world.deliver_up(pick(self.world.up(), number), most)

    @precondition(lambda self: self.world.down())
    @rule(number=NUMBERS, most=st.integers(1, 3))
    def deliver_down(self, number: int, most: int) -> None:
        """The agent gets messages."""
        self.world.deliver_down(pick(self.world.down(), number), most)

    @rule(rounds=st.integers(1, 3), agent=st.none() | AGENT_TRAPS, server=st.none() | SERVER_TRAPS)
    def flow(self, rounds: int, agent: Trap | None, server: Trap | None) -> None:
        """The network is good for a while; something may happen in the middle of what follows."""
        self._set(agent, server)
        self.world.flow(rounds)

    @precondition(lambda self: self.world.network.connections)
    @rule(number=NUMBERS, keep_up=st.integers(0, 2), keep_down=st.integers(0, 2))
    def cut(self, number: int, keep_up: int, keep_down: int) -> None:
        """A connection breaks; neither end knows yet."""
        pick(self.world.network.connections, number).break_off(keep_up, keep_down, "transport close")

    @precondition(lambda self: self.world.network.connections)
    @rule(number=NUMBERS, which=NUMBERS, up=st.booleans())
    def repeat(self, number: int, which: int, up: bool) -> None:
        """A message about tasks comes once more, late."""
        one = pick(self.world.network.connections, number)
        queue, past = (one.up, one.past_up) if up else (one.down, one.past_down)
        if past and not one.cut:
            queue.appendleft(pick(past, which))

    @precondition(lambda self: self.world.network.exchanges)
    @rule(number=NUMBERS)
    def break_request(self, number: int) -> None:
        """A request gets no answer."""
        pick(self.world.network.exchanges, number).fail()
        self.world.settle()

    # ------------------------------------------------------------ the machine

    def _running(self) -> list[Child]:
        return self.world.machine.running()

    @precondition(lambda self: self._running())
    @rule(number=NUMBERS, ends=st.booleans())
    def go_on(self, number: int, ends: bool) -> None:
        """A program prints something, or goes on to its end."""
        child = pick(self._running(), number)
        child.exit() if ends else child.print()
        self.world.settle()

    @rule(rounds=st.integers(1, 3), agent=st.none() | AGENT_TRAPS, server=st.none() | SERVER_TRAPS)
    def good_time(self, rounds: int, agent: Trap | None, server: Trap | None) -> None:
        """Everything is there again, and programs end; something may happen in the middle of that."""
        self._repair()
        self._set(agent, server)
        self.world.flow(rounds)
        self.world.pass_time(0.06)
        self.world.flow(rounds)
        for child in self._running():
            child.exit()
        self.world.settle()
        self.world.flow(rounds)

    # ------------------------------------------------------------ time

    @rule(seconds=st.sampled_from(STEPS_S))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.world.pass_time(seconds)

    # ------------------------------------------------------------ crashes

    @precondition(lambda self: self.world.agent)
    @rule(keep=st.integers(0, 2), stays_away=st.sampled_from((False, False, True)), trap=st.none() | AGENT_TRAPS)
    def kill_agent(self, keep: int, stays_away: bool, trap: Trap | None) -> None:
        """`kill -9` of the agent; what supervises it starts it again."""
        self.world.kill_agent(keep)
        if not stays_away:
            self.start_agent(trap)

    @precondition(lambda self: self.world.server)
    @rule(keep=st.integers(0, 2), stays_away=st.sampled_from((False, False, True)), trap=st.none() | SERVER_TRAPS)
    def kill_server(self, keep: int, stays_away: bool, trap: Trap | None) -> None:
        """The same of the server."""
        self.world.kill_server(keep)
        if not stays_away:
            self.start_server(trap)

    @precondition(lambda self: not self.world.agent)
    @rule(trap=st.none() | AGENT_TRAPS)
    def start_agent(self, trap: Trap | None) -> None:
        """The agent is there again."""
        self.world.start_agent()
        self._set(trap, None)

    @precondition(lambda self: not self.world.server)
    @rule(trap=st.none() | SERVER_TRAPS)
    def start_server(self, trap: Trap | None) -> None:
        """The server is there again."""
        self.world.start_server()
        self._set(None, trap)

    def _set(self, agent: Trap | None, server: Trap | None) -> None:
        if agent and self.world.agent:
            self.world.agent.trap = replace(agent)
        if server and self.world.server:
            self.world.server.trap = replace(server)

    @precondition(lambda self: any(one and one.held for one in (self.world.agent, self.world.server)))
    @rule()
    def let_on(self) -> None:
        """What was held up goes on."""
        self.world.let_on()

    @precondition(lambda self: not self.world.database_away)
    @rule()
    def lose_database(self) -> None:
        """The database is away for a while."""
        self.world.database_away = True

    def _repair(self) -> None:
        world = self.world
        world.database_away = False
        world.let_on()
        if not world.server:
            world.start_server()
        if not world.agent:
            world.start_agent()

    # ------------------------------------------------------------ the state folder

    @rule()
    def keep_snapshot(self) -> None:
        """A snapshot is taken of the state folder."""
        self.world.folder.keep()

    @precondition(lambda self: self.forgetful)
    @rule(keep=st.integers(0, 2), restore=st.booleans())
    def lose_journal(self, keep: int, restore: bool) -> None:
        """The agent is killed, and starts without its journal, or with the snapshot."""
        if restore and (not self.world.folder.kept or self._unheard_of()):
            return
        self.world.kill_agent(keep)
        self.oracle.journal_lost(set(self.world.boots))
        if restore:
            self.world.folder.put_back()
        else:
            self.world.folder.forget_tasks()
        self.world.start_agent()

    def _unheard_of(self) -> bool:
        """Whether something was executed of whose start nothing is committed on the server: the one window that stays
        open (ADR 14)."""
        executed = self.world.machine.executed
        return any(
            executed[row.id] and row.started_at is None and row.state in ("sent", "accepted", "lost")
            for row in self.world.onlooker.tasks().values()
        )

    # ------------------------------------------------------------ what must hold

    @invariant()
    def judge(self) -> None:
        """After each step."""
        self.seen["steps"] += 1
        for what, asked in self.asked:
            if what == "start" and asked.answered:
                self.oracle.promised.add(asked.result.run.id)
        self.asked = [(what, asked) for what, asked in self.asked if not asked.done]
        self.oracle.look()

    def teardown(self) -> None:
        """Everything is good from now on, and comes to its end; not after a failure."""
        try:
            if self.world.ever_started and sys.exc_info()[0] is None:
                self._heal()
                self.judge()
                self.oracle.conclude()
                self._stay()
                self.seen.update(self.oracle.states)
        finally:
            self.world.close()

    def _heal(self) -> None:
        world = self.world
        for process in (world.agent, world.server):
            if process:
                process.trap = None
        self._repair()
        for number, seconds in enumerate(HEALING_S):
            world.flow(10)
            if number:
                for child in self._running():
                    child.exit()
                world.settle()
            self.judge()
            if world.connected and not self.oracle.unfinished():
                return
            world.pass_time(seconds)

    def _stay(self) -> None:
        """However long it goes on, nothing changes any more."""
        before = {id: row.state for id, row in self.world.onlooker.tasks().items()}
        for seconds in (20_000.0,):
            self.world.pass_time(seconds)
            self.world.flow(10)
        self.judge()
        assert {id: row.state for id, row in self.world.onlooker.tasks().items()} == before, "an end changed"


def machine(onlooker: Onlooker, folder: Path) -> type[DeliveryMachine]:
    """The machine on this database, with its agent's files in ``folder``."""
    made: type[DeliveryMachine] = type(
        "Delivery", (DeliveryMachine,), {"make": partial(World, onlooker, folder), "seen": Counter()}
    )
    return made
