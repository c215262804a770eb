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
from deployx_agent.update.here import Start


def run(settings: Settings, log: Log, start: Start = Start.ELSEWHERE) -> int | None:
    """Run until the agent ends; the exit code, or None if something else is to run now. Raises Exit when it cannot even
    start."""
    gc.disable()  # modules are no garbage: looking for some in between takes a tenth of the start
    with StateFolder(settings.state_dir, log):
        server = _server(settings, log)
        from deployx_agent.connection.registration import Registrar
        from deployx_agent.identity import Identity
        from deployx_agent.policy.guard import Guard
        from deployx_agent.releases.surroundings import FOLDER, Surroundings
        from deployx_agent.tasks.engine import Engine
        from deployx_agent.update.runtime import Update

        identity = Identity(settings.state_dir, settings.facts_root, settings.machine_id, log)
        guard = Guard(settings.policy, lambda: (identity.public_key, registrar.hostname), log)
        tasks = settings.state_dir / "tasks"
        update = Update(settings.state_dir, settings.update_root, settings.update_patience_s, log, start)
        surroundings = Surroundings(
            settings.state_dir / FOLDER,
            server,
            settings.ca_file,
            guard,
            settings.reboot_command,
            settings.downloads_parallel,
            settings.download_rate * 1024,
            update,
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
            update=update,
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
            code = asyncio.run(_keep(settings, server, registrar, engine, update, status, log))
            return None if update.gives_way else code
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


async def _keep(
    settings: Settings, server: str, registrar: Any, engine: Any, update: Any, status: StatusFile, log: Log
) -> int:
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
    links = [update.linked]
    if not settings.no_software:
        reporter = Reporter(settings.facts_root, log)
        links.append(reporter.linked)
        engine.on_release = reporter.changed
        beside.append(reporter.run)

    def on_link(connection: Any) -> None:
        for linked in links:
            linked(connection)

    engine.on_link = on_link
    stopping = _Stopping(engine, keeper)
    update.ask_to_stop = stopping.ask

    def signalled(name: str) -> None:
        update.gives_way = False  # somebody wants it to end, and nothing else to begin
        stopping.ask(name)

    _stop_on_signals(signalled)
    if update.start is Start.WATCHED and sys.platform != "win32":
        _stop_at_the_end_of(sys.stdin.fileno(), signalled)
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


def _stop_at_the_end_of(descriptor: int, stop: Any) -> None:
    """A pipe that the watchdog holds: an agent on trial does not outlive whoever could end it."""
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(descriptor)
        stop("the watchdog has ended")

    loop.add_reader(descriptor, gone)


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
