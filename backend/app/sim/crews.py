"""All simulated agents, however many processes they are in: started, told what to do, and ended, together."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from app.sim.crew import LINE_MAX_BYTES, Do, Order, Spec
from app.sim.errors import CannotSimulate
from app.sim.witness import Report

AT_ONCE = 80
"""How many agents may be connecting at a time: fewer than a server admits from one address before they register."""
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Crews:
    """The processes."""

    processes: Sequence[asyncio.subprocess.Process]

    async def gather(self, within_s: float) -> int:
        """How many agents are there; raises CannotSimulate when the server refuses one."""
        answers = await self._ask(Order(do=Do.GATHER, within_s=within_s))
        for answer in answers:
            for reason in answer["refused"]:
                raise CannotSimulate(f"The server refuses the agents: {reason}")
        return sum(answer["registered"] for answer in answers)

    async def settle(self, within_s: float) -> None:
        """No more mishaps; everybody is connected, or the time is over."""
        await self._ask(Order(do=Do.SETTLE, within_s=within_s))

    async def finish_speaking(self, within_s: float) -> None:
        """The server has acknowledged all that they said, or the time is over."""
        await self._ask(Order(do=Do.FINISH_SPEAKING, within_s=within_s))

    async def depart(self, share: float) -> None:
        """A share of them goes for good."""
        await self._ask(Order(do=Do.DEPART, share=share))

    async def report(self) -> Report:
        """What they all saw."""
        reports = [msgspec.convert(answer, Report) for answer in await self._ask(Order(do=Do.REPORT))]
        whole = Report({}, [])
        for one in reports:
            whole.tasks |= one.tasks
            whole.devices += one.devices
            whole.registrations_s += one.registrations_s
            whole.pings_s += one.pings_s
            for kind, count in one.faults.items():
                whole.faults[kind] = whole.faults.get(kind, 0) + count
        return whole

    async def ended(self) -> None:
        """Wait until one of the processes has ended, which none should. Raises CannotSimulate."""
        await asyncio.wait(
            [asyncio.ensure_future(process.wait()) for process in self.processes], return_when=asyncio.FIRST_COMPLETED
        )
        raise CannotSimulate("A process of simulated agents ended before its time; what it said stands above.")

    async def _ask(self, order: Order) -> list[Any]:
        return await asyncio.gather(*(_ask(process, order) for process in self.processes))


@contextlib.asynccontextmanager
async def running(specs: Sequence[Spec]) -> AsyncIterator[Crews]:
    """One process for each of ``specs``; all of them are gone when the block ends."""
    processes: list[asyncio.subprocess.Process] = []
    try:
        for spec in specs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app.sim.crew"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_MAX_BYTES,
                start_new_session=True,
            )
            processes.append(process)
            _tell(process, spec)
        yield Crews(processes)
    finally:
        await asyncio.gather(*(_end(process) for process in processes))


def split(total: int, processes: int, **fields: Any) -> list[Spec]:
    """Specs for ``total`` agents in so many processes."""
    share, more = divmod(total, processes)
    counts = [share + (number < more) for number in range(processes)]
    at_once = max(AT_ONCE // processes, 1)
    return [
        Spec(first=sum(counts[:number]), count=count, at_once=at_once, **fields) for number, count in enumerate(counts)
    ]


def _tell(process: asyncio.subprocess.Process, what: Spec | Order) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(what) + b"\n")


async def _ask(process: asyncio.subprocess.Process, order: Order) -> Any:
    assert process.stdout is not None
    _tell(process, order)
    line = await process.stdout.readline()
    if not line:
        raise CannotSimulate("A process of simulated agents ended before its time; what it said stands above.")
    return msgspec.json.decode(line)


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        process.kill()
        await process.wait()
