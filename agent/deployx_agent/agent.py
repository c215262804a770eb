"""Wires one agent together and runs it: the only place where its objects are made.

The order matters: the lock before anything in the state folder is touched, the server before a key is made, so that a
machine that is not enrolled leaves no traces. What connects is imported last: a refused start need not pay for it.
"""

import asyncio
import gc
import signal
import sys
from contextlib import suppress
from typing import Any

from deployx_agent import enrollment
from deployx_agent.config import Settings, resolve_server
from deployx_agent.exits import ConfigError
from deployx_agent.logs import Log
from deployx_agent.state.folder import StateFolder
from deployx_agent.state.status import StatusFile


def run(settings: Settings, log: Log) -> int:
    """Run until the agent ends; the exit code. Raises Exit when it cannot even start."""
    gc.disable()  # modules are no garbage: looking for some in between takes a tenth of the start
    with StateFolder(settings.state_dir, log):
        server = _server(settings, log)
        from deployx_agent.connection.registration import Registrar
        from deployx_agent.identity import Identity
        from deployx_agent.policy.guard import Guard
        from deployx_agent.releases.surroundings import FOLDER, Surroundings
        from deployx_agent.tasks.engine import Engine

        identity = Identity(settings.state_dir, settings.facts_root, settings.machine_id, log)
        guard = Guard(settings.policy, lambda: (identity.public_key, registrar.hostname), log)
        tasks = settings.state_dir / "tasks"
        surroundings = Surroundings(
            settings.state_dir / FOLDER,
            server,
            settings.ca_file,
            guard,
            settings.reboot_command,
            settings.downloads_parallel,
            settings.download_rate * 1024,
        )
        engine = Engine(
            *(tasks, settings.tasks_parallel, log),
            guard=guard,
            watch_only=settings.watch_only,
            surroundings=surroundings,
        )
        if settings.watch_only:
            log.info("This agent only watches; tasks are refused")
        pass_on = enrollment.Enrollment(settings.state_dir, server, settings.enrollment_token, log)
        registrar = Registrar(
            identity,
            pass_on,
            engine.store,
            server,
            settings.agent_id,
            settings.tags,
            settings.facts_root,
            guard=guard,
            watch_only=settings.watch_only,
        )
        status = StatusFile(
            settings.state_dir,
            server=server,
            hostname=registrar.hostname,
            agent_id=registrar.agent_id,
            machine_id=identity.machine.machine_id,
            last_pong=None,
        )
        try:
            return asyncio.run(_keep(settings, server, registrar, engine, status, log))
        finally:
            engine.close()


def _server(settings: Settings, log: Log) -> str:
    from deployx_agent.identity import has_key

    keyed = has_key(settings.state_dir)
    try:
        record = enrollment.read(settings.state_dir, log)
    except OSError as error:
        raise ConfigError(f"The state folder {settings.state_dir} cannot be written ({error.strerror}).") from None
    pending = enrollment.pending_token(record, settings.enrollment_token, has_key=keyed)
    return resolve_server(settings, recorded=record.server, pending_token=pending, has_key=keyed)


async def _keep(settings: Settings, server: str, registrar: Any, engine: Any, status: StatusFile, log: Log) -> int:
    from random import random

    from deployx_agent.connection.keeper import Keeper
    from deployx_agent.connection.progress import Progress
    from deployx_agent.connection.retry import Retry
    from deployx_agent.connection.session import Pace
    from deployx_agent.connection.socketio_transport import SocketIOTransport, tls_context
    from deployx_agent.software.reporter import Reporter

    try:
        tls = tls_context(settings.ca_file) if server.startswith("https:") else None
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"The CA file {settings.ca_file} holds no usable certificate ({error}).") from None
    keeper = Keeper(
        registrar,
        engine,
        Progress(status, log),
        Retry(settings.reconnect_attempts, settings.reconnect_delay_s, random),
        Pace(settings.connect_timeout_s, settings.heartbeat_interval_s, settings.pong_timeout_s),
        settings.connect_timeout_s,
        lambda deliver: SocketIOTransport(server, tls, deliver),
        log,
    )
    beside = [engine.run]
    if not settings.no_software:
        reporter = Reporter(settings.facts_root, log)
        engine.on_link, engine.on_release = reporter.linked, reporter.changed
        beside.append(reporter.run)
    stopping = _Stopping(engine, keeper)
    _stop_on_signals(stopping.ask)
    asyncio.get_running_loop().set_exception_handler(_unexpected(log))
    gc.freeze()
    gc.enable()
    await engine.end_strays()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run()) for run in (*beside, stopping.stop)]
        code: int = await keeper.run()
        await engine.drained()  # giving up ends the connection; what runs is seen to its end
        for task in tasks:
            task.cancel()
    log.info("Agent stopped", exit_code=code)
    return code


class _Stopping:
    """From the first signal to the end: the tasks first, while the server can still hear of them. A second hurries."""

    def __init__(self, engine: Any, keeper: Any) -> None:
        self._engine = engine
        self._keeper = keeper
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    def ask(self, reason: str) -> None:
        """A signal has come."""
        if not self._asked.empty():
            self._engine.hurry()
        self._asked.put_nowait(reason)

    async def stop(self) -> None:
        """Wait for the first signal, then stop."""
        reason = await self._asked.get()
        self._asked.put_nowait(reason)
        await self._engine.stop()
        self._keeper.stop(reason)


def _stop_on_signals(stop: Any) -> None:
    loop = asyncio.get_running_loop()
    names = ("SIGINT", "SIGBREAK") if sys.platform == "win32" else ("SIGTERM", "SIGINT", "SIGHUP")
    for name in names:
        number = getattr(signal, name)
        if sys.platform == "win32":
            signal.signal(number, lambda *_, name=name: loop.call_soon_threadsafe(stop, name))
        else:
            loop.add_signal_handler(number, stop, name)


def _unexpected(log: Log) -> Any:
    """What a library's background task raised: shown, but the agent goes on; the read loop notices a dead socket."""

    def handle(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        with suppress(Exception):
            if isinstance(error, BaseException):
                log.warning("Unexpected data or error on the connection", error=f"{type(error).__name__}: {error}")
            else:
                log.debug("Unexpected event in the loop", message=context.get("message"))

    return handle
