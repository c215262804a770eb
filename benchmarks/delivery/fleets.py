"""Machines to send a command to: real agents, simulated ones, Salt minions; a fleet is there when its block begins."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from delivery.console import Console
from delivery.progress import say
from footprint import children, servers, subjects
from footprint.servers import free_port
from footprint.subjects import NotMeasured, Start

STARTING_AT_ONCE = 4
_SAID_EACH = 10
_SERVER = Path(sys.executable).parent / "deployx-server"
_EMAIL, _PASSWORD = "bench@example.test", "a password for a benchmark"
_READY_S = 120.0
_FLEET_S = 900.0
"""How long a whole fleet may take to start: Salt's 50 minions take minutes."""


@contextlib.asynccontextmanager
async def server(folder: Path, database_url: str = "") -> AsyncIterator[Console]:
    """A DeployX server, on SQLite unless another database is named, and somebody who may start runs there."""
    say(f"a server starts, on {'PostgreSQL' if database_url else 'SQLite'}")
    folder.mkdir()
    port = free_port()
    env = children.environment(
        port=str(port),
        data_dir=str(folder),
        database_url=database_url,
        admin_email=_EMAIL,
        admin_password=_PASSWORD,
        log_level="info",
    )
    async with children.running((_SERVER, "serve"), env, folder) as process:
        await children.said(process, "server.started", _READY_S)
        async with _drained(process), _console(process, port) as console:
            yield console


def _console(process: asyncio.subprocess.Process, port: int) -> contextlib.AbstractAsyncContextManager[Console]:
    return Console.signed_in(f"http://127.0.0.1:{port}", process.pid, _EMAIL, _PASSWORD)


@contextlib.asynccontextmanager
async def agents(console: Console, folder: Path, count: int) -> AsyncIterator[None]:
    """Real agents, a process each."""
    token = await console.enrollment_token(count)

    def start(own: Path) -> Start:
        settings = {"server_url": console.url, "state_dir": str(own), "machine_id": own.name, "enrollment_token": token}
        settings["no_software"] = "true"  # told once, a while after the start: it would be in the first rounds
        return Start((sys.executable, "-m", "deployx_agent", "run"), "[INFO] Registration successful", settings)

    async with _each(start, folder, "agent", count):
        yield


@contextlib.asynccontextmanager
async def simulated(console: Console, folder: Path, count: int) -> AsyncIterator[None]:
    """Simulated agents, all in one process."""
    env = children.environment(enrollment_token=await console.enrollment_token(count))
    command = (_SERVER, "sim", "--url", console.url, "--agents", str(count), "--idle", "--seconds", "0")
    say(f"{count} simulated agents start")
    async with children.running(command, env, folder) as process:
        await children.said(process, f"{count} of {count} agents are there", _FLEET_S)
        async with _drained(process):
            yield


@contextlib.asynccontextmanager
async def minions(programs: Path, folder: Path, count: int) -> AsyncIterator[Path]:
    """A Salt master with Salt's own number of workers, and minions; the folder of its configuration.

    Raises NotMeasured when they do not start.
    """
    master_folder = folder / "master"
    async with (
        servers.salt_master(programs, master_folder, worker_threads=5) as master,
        _each(subjects.salt_minion(programs, master).start, folder, "minion", count),
    ):
        yield master_folder


@contextlib.asynccontextmanager
async def _each(start: Callable[[Path], Start], folder: Path, name: str, count: int) -> AsyncIterator[None]:
    turn = asyncio.Semaphore(STARTING_AT_ONCE)
    there, processes = 0, list[asyncio.subprocess.Process]()
    say(f"{count} {name}s start, {STARTING_AT_ONCE} at once")
    async with contextlib.AsyncExitStack() as stack:

        async def one(number: int) -> None:
            nonlocal there
            own = folder / f"{name}-{number}"
            own.mkdir()
            what = start(own)
            async with turn:
                env, log = children.environment(**what.settings), own / "log"
                # into a file: to read what a fleet says of a command would be part of what is measured
                process = await stack.enter_async_context(children.running(what.command, env, own, log=log))
                processes.append(process)
                await children.written(process, log, what.registered, _READY_S)
            there += 1
            if there % _SAID_EACH == 0 or there == count:
                say(f"{there} of {count} {name}s are there")

        try:
            async with asyncio.timeout(_FLEET_S), asyncio.TaskGroup() as starting:
                for number in range(count):
                    starting.create_task(one(number))
        except TimeoutError:
            raise NotMeasured(f"{there} of {count} {name}s were there after {_FLEET_S:g} s") from None
        except ExceptionGroup as errors:
            raise NotMeasured(f"{there} of {count} {name}s were there: {errors.exceptions[0]}") from None
        yield
        for process in processes:  # all at once: one minion takes ten seconds to end
            if process.returncode is None:
                process.terminate()


@contextlib.asynccontextmanager
async def _drained(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    reading = asyncio.ensure_future(children.drained(process))
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
