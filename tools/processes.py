"""Child processes of the developer's tools: none of them outlives the tool that started it, however that ends.

Invariant: each child leads a group of its own, so a Ctrl-C in the terminal reaches the tool alone, which then decides
who ends in which order. On Linux the kernel ends a child whose tool was killed; in every other case the tool ends the
whole group.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_PR_SET_PDEATHSIG = 1
Command = Sequence[str | os.PathLike[str]]


async def start(
    command: Command,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: BinaryIO | int = asyncio.subprocess.PIPE,
) -> asyncio.subprocess.Process:
    """Start `command` with both its outputs going to `output`. Raises OSError when it cannot be started."""
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_die_with_parent(),
    )


async def end(process: asyncio.subprocess.Process, patience_s: float) -> int:
    """Ask the process to end, then make it; nothing of its group is left. Returns its exit code."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience_s)
    kill_group(process)
    return await process.wait()


def kill_group(process: asyncio.subprocess.Process) -> None:
    """End the process and what it started, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def stopping() -> asyncio.Event:
    """An event that SIGINT, SIGTERM and SIGHUP set, instead of what they do otherwise."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    return asked


async def first_of(*tasks: asyncio.Task[None]) -> None:
    """Wait until one of them ends, as it ended; the others are cancelled."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: the child may only make the call
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
