"""`deployx-server sim` as the process that it is, and how it ended."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("deployx-server"))


@dataclass
class Simulated:
    """How a simulation ended."""

    exit_code: int
    figures: dict[str, Any]
    said: str

    @property
    def verdict(self) -> dict[str, int | None]:
        """L, D, U and P."""
        return {name: self.figures[name] for name in ("L", "D", "U", "P")}


async def command(*arguments: str, **env: str) -> tuple[int, str, str]:
    """`deployx-server sim` with these arguments: its exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "sim", *arguments),
        env={"PATH": "/usr/bin:/bin", **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


Simulate = Callable[..., Awaitable[Simulated]]


@contextlib.asynccontextmanager
async def idle(url: str, enrollment_token: str, agents: int) -> AsyncIterator[None]:
    """So many simulated devices that are there and do what others ask of them, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "sim", "--url", url, "--agents", str(agents), "--idle", "--seconds", "0"),
        env={"PATH": "/usr/bin:/bin", "DEPLOYX_ENROLLMENT_TOKEN": enrollment_token},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
