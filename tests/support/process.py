"""The server as a process of its own, for what only a process can do: be killed."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

START_S = 60.0


class ServerProcess:
    """`deployx-server serve`, up and running. ``url`` is where."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self._process = process
        self.url = url
        self.log = log

    async def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()


@contextlib.asynccontextmanager
async def served(folder: Path, database_url: str, **settings: str) -> AsyncIterator[ServerProcess]:
    """A server process with these ``DEPLOYX_*`` settings on a free port; it is killed when the block ends."""
    environment = {
        **os.environ,
        "DEPLOYX_DATA_DIR": str(folder),
        "DEPLOYX_DATABASE_URL": database_url,
        "DEPLOYX_PORT": "0",
        **{f"DEPLOYX_{name.upper()}": value for name, value in settings.items()},
    }
    log = folder / "server.log"
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from app.cli import main; main()", "serve"),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout
        line = ""
        async with asyncio.timeout(START_S):
            while not line.startswith("server.started"):
                line = (await process.stdout.readline()).decode()
                assert line, f"the server ended: {log.read_text()[-2000:]}"
        yield ServerProcess(process, line.split("url=")[1].strip(), log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
