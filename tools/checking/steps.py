"""One step of a suite: a command that is quiet when it is green and says everything when it is red."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import processes
from bootstrap.console import say
from bootstrap.places import ROOT
from checking.totals import Totals

_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Step:
    """A command and how its result is counted."""

    title: str
    command: processes.Command
    cwd: Path = ROOT
    env: Mapping[str, str] | None = None
    deadline_s: float = 300.0
    announced: bool = False
    """Whether it takes so long that its start is worth a line."""
    green_codes: frozenset[int] = frozenset({0})
    count: Callable[[], Totals] | None = None
    """Reads the runner's report; without one the step itself counts as one check."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a step went."""

    step: Step
    green: bool
    totals: Totals


async def run(step: Step) -> Result:
    """Run one step and say how it went. Its process is gone when this ends, also when it is cancelled."""
    if step.announced:
        say(f"  {step.title} …")
    started = time.monotonic()
    output, code = await _output(step)
    green = code in step.green_codes
    totals = (step.count() if step.count else Totals(passed=int(green))).blamed(green=green)
    green = green and not totals.failed
    elapsed_s = time.monotonic() - started
    counted = f": {totals}" if step.count else ""
    if green:
        say(f"  {step.title}: ok{counted} in {elapsed_s:.1f} s")
    else:
        say(f"✗ {step.title}: failed{counted} in {elapsed_s:.1f} s\n\n{output.rstrip()}\n")
    return Result(step, green, totals)


async def _output(step: Step) -> tuple[str, int]:
    try:
        process = await processes.start(step.command, env=step.env, cwd=step.cwd)
    except OSError as error:
        return f"{os.fspath(step.command[0])} cannot be started: {error.strerror}.", -1
    assert process.stdout is not None
    said = bytearray()
    try:
        async with asyncio.timeout(step.deadline_s):
            while chunk := await process.stdout.read(65536):
                said += chunk
            code = await process.wait()
    except TimeoutError:
        said += f"\nStopped: not done after {step.deadline_s:.0f} s.\n".encode()
        code = -1
    finally:
        await asyncio.shield(processes.end(process, _END_S))
    return said.decode(errors="replace"), code
