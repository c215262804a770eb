"""A process of the model: an event loop on a clock that only the model moves, which stops where the model says.

Both ends run their real code on such a loop. It goes on until nothing is left to do at this moment, then the model
takes the next step; no thread runs beside it. Wherever the process touches the world (its disk, its database, its
network) it passes a *gate*, at which it can be killed, be held up, or find the database gone.

Invariant: a process that was killed does nothing more. Its tasks wait at their gates for ever; they are unwound in
``bury``, when everything has been judged.
"""

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from unittest import mock

from deployx_agent.tasks.one_thread import OneThread

EPOCH = 1_900_000_000.0
"""What the clock on the wall says when the model's clock is at 0."""
_IO_PATIENCE_S = 300.0
"""Longer than a machine with much else to do keeps the database waiting."""


class Clock:
    """The one clock of a model: seconds since its start. Time passes only when ``now`` is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    @contextlib.contextmanager
    def instead_of_time(self) -> Iterator[None]:
        """Within this, the functions of ``time`` read this clock."""
        monotonic, wall = (lambda *_: self.now), (lambda: EPOCH + self.now)
        with mock.patch.multiple("time", monotonic=monotonic, clock_gettime=monotonic, time=wall):
            yield


class Gate(StrEnum):
    """Where a process can be stopped."""

    DISK = "before a write to the disk"
    DISK_DONE = "after a write to the disk"
    SEND = "before a message is sent"
    SENT = "after a message was sent"
    BEGIN = "before a transaction"
    COMMIT = "before a commit"
    COMMITTED = "after a commit"


class Deed(StrEnum):
    """What happens there."""

    KILL = "the process is killed"
    HOLD = "it is held up until it is let on"
    AWAY = "the database does not answer"


@dataclass
class Trap:
    """``deed`` happens at the gate after ``skip`` others of its kind."""

    gate: Gate
    deed: Deed
    skip: int = 0


class Loop(asyncio.SelectorEventLoop):
    """A loop on ``clock``. What is given to an executor is done in the loop itself, in order for one of one thread."""

    def __init__(self, clock: Clock, process: "Process") -> None:
        self._clock = clock
        self._process = process
        self._in_order: dict[Executor, asyncio.Lock] = {}
        super().__init__(_Selector(self._idle))

    def time(self) -> float:
        return 0.0 if self._process.buried else self._clock.now

    def _idle(self) -> bool:
        """Nothing is ready: stop, unless the database is to answer."""
        if self._process.transactions:
            return False
        self.stop()
        return True

    def settle(self) -> None:
        """Go on until there is nothing left to do now."""
        if not self.is_closed():
            self.run_forever()

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        done: asyncio.Future[Any] = self.create_future()
        self._process.start(self._job(executor, done, func, args))
        return done

    async def _job(
        self, executor: Executor | None, done: asyncio.Future[Any], act: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        one_by_one = isinstance(executor, OneThread)
        lock = self._in_order.setdefault(executor, asyncio.Lock()) if executor and one_by_one else None
        async with lock or contextlib.nullcontext():
            await self._process.gate(Gate.DISK)
            result, error = None, None
            try:
                result = act(*arguments)
            except Exception as raised:
                error = raised
            await self._process.gate(Gate.DISK_DONE)
            if not done.done():
                done.set_exception(error) if error else done.set_result(result)


class _Selector(selectors.DefaultSelector):
    """Tells the loop when there is nothing to do, instead of waiting for a time that does not pass."""

    def __init__(self, idle: Callable[[], bool]) -> None:
        super().__init__()
        self._is_idle = idle

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if ready := super().select(0):
            return ready
        if self._is_idle():
            return []
        ready = super().select(_IO_PATIENCE_S)
        assert ready, "the database does not answer, though it should"
        return ready


class Process:
    """One process. ``kill`` is also what a trap does."""

    def __init__(self, clock: Clock, bugs: list[str]) -> None:
        self.dead = False
        self.bugs = bugs
        """What no code of ours should ever do."""
        self.trap: Trap | None = None
        self.transactions = 0
        """How many are open: the loop waits for the database while there are any."""
        self.loop = Loop(clock, self)
        self.loop.set_exception_handler(self._unexpected)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._held: list[asyncio.Future[None]] = []
        self.buried = False
        """Whether it is being unwound. No timer of it fires then."""

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do ``work`` beside the rest."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _unexpected(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.buried:
            self.bugs.append(f"{context.get('message')}: {context.get('exception')!r}")

    # ------------------------------------------------------------ gates

    async def gate(self, gate: Gate) -> Deed | None:
        """Pass ``gate``: at once, later, or never. AWAY is left to the caller."""
        if self.dead:
            await self.wait_for_ever()
        deed = self._sprung(gate)
        if deed is Deed.KILL:
            self.kill()
            await self.wait_for_ever()
        if deed is Deed.HOLD:
            passed: asyncio.Future[None] = self.loop.create_future()
            self._held.append(passed)
            await passed
        return deed

    def _sprung(self, gate: Gate) -> Deed | None:
        if self.trap is None or self.trap.gate is not gate:
            return None
        if self.trap.skip:
            self.trap.skip -= 1
            return None
        deed, self.trap = self.trap.deed, None
        return deed

    async def wait_for_ever(self) -> None:
        """What a dead process does."""
        if self.buried:
            raise asyncio.CancelledError
        await self.loop.create_future()

    @property
    def held(self) -> bool:
        """Whether something waits to be let on."""
        return bool(self._held)

    def let_on(self) -> None:
        """Whatever is held up goes on."""
        held, self._held = self._held, []
        for passed in held:
            if not passed.done():
                passed.set_result(None)

    # ------------------------------------------------------------ the end

    def kill(self) -> None:
        """Nothing of it runs any more. What it held is let go by the kernel."""
        if not self.dead:
            self.dead = True
            self.loop.stop()
            self.release()

    def release(self) -> None:
        """What the kernel does for a process that is gone."""

    def bury(self) -> None:
        """Unwind what is left of it, and close it."""
        self.dead = self.buried = True
        for _ in range(20):
            pending = asyncio.all_tasks(self.loop)
            if not pending:
                break
            for task in pending:
                task.cancel()
            self.loop.settle()
        self.transactions = 1
        self.loop.run_until_complete(self.closed())
        self.transactions = 0
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def closed(self) -> None:
        """Close what Python does not close by itself."""
