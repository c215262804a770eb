"""Child processes of the benchmark, each leading a group of its own that is gone when we are done with it.

The kernel ends them should the benchmark itself be killed.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

_PATIENCE_S = 10.0
_LOOK_S = 0.1
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded before the fork: the child may only make the call


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    cwd: Path,
    patience_s: float = _PATIENCE_S,
    log: Path | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """``command`` with both its outputs in one pipe, or in the file ``log``; at the end it is asked, then made, to
    end."""
    with contextlib.ExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stack.enter_context(log.open("wb")) if log else asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.communicate(), patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def environment(**settings: str) -> dict[str, str]:
    """Ours, without any setting of DeployX but these (``state_dir="…"``).

    Nor without bytecode: compiling everything at each start would be what is measured.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DEPLOYX_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return inherited | {f"DEPLOYX_{name.upper()}": value for name, value in settings.items()}


async def said(process: asyncio.subprocess.Process, words: str, within_s: float) -> None:
    """Wait until a line of its output contains ``words``. Raises RuntimeError with what it said instead."""
    assert process.stdout is not None
    heard: list[str] = []
    try:
        async with asyncio.timeout(within_s):
            async for raw in process.stdout:
                heard.append(raw.decode("utf-8", "replace"))
                if words in heard[-1]:
                    return
    except TimeoutError:
        pass
    raise RuntimeError(f"{words!r} was not said within {within_s:g} s:\n{''.join(heard[-20:])}")


async def written(process: asyncio.subprocess.Process, log: Path, words: str, within_s: float) -> None:
    """The same of what it writes into a file."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while words not in log.read_text(errors="replace") and process.returncode is None:
                await asyncio.sleep(_LOOK_S)
    heard = log.read_text(errors="replace")
    if words not in heard:
        last = "\n".join(heard.splitlines()[-20:])
        raise RuntimeError(f"{words!r} was not said within {within_s:g} s:\n{last}")


async def drained(process: asyncio.subprocess.Process) -> None:
    """Read on until it ends, so that it never blocks on its own output."""
    assert process.stdout is not None
    async for _ in process.stdout:
        pass
