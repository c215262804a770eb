"""One server process, from a bound port to a clean end.

Order: take the port and the data folder (so that a second server fails at once, before it touches anything), migrate,
make the first administrator, serve. Leaving: agents are told goodbye and their devices marked before a socket closes.
"""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import structlog
import uvicorn
from sqlalchemy.engine import make_url

from app.http import Waiting, protocol
from app.loading import loading
from app.prepare import CannotServe, prepare
from app.settings import Settings
from app.tls import Certificate, UnusableCertificate, certificate
from app.websocket import WebSocket
from app.zerocopy import ZeroCopy
from deployx_protocol import limits
from deployx_protocol.codes import EXIT_CONFIG, EXIT_NOPERM, EXIT_TEMPFAIL, EXIT_UNAVAILABLE

STALLED_S = 20
"""How long a peer may leave what is sent to it unread; then the kernel ends the connection, and the memory it holds."""
DRAIN_S = 10
CLOSE_S = 5
WS_MESSAGE_MAX_BYTES = 2 * limits.AGENT_MESSAGE_MAX_BYTES
"""Engine.IO refuses what is over the agents' limit, and says why; this is the wall behind it."""

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve until a signal says stop. Raises CannotServe."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # until uvicorn has its own
    allow_many_connections()
    with bind(settings) as listener, hold_data(settings):
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        if not settings.allowed_origins():
            raise CannotServe(
                f"Agents must know under which address they reach this server: it listens on {settings.host}, "
                "so set DEPLOYX_PUBLIC_URL, for example to https://deployx.example.com.",
                EXIT_CONFIG,
            )
        try:
            own = certificate(settings)
        except UnusableCertificate as error:
            raise CannotServe(str(error), EXIT_CONFIG) from None
        asyncio.run(prepare(settings))
        _run(settings, listener, own)


def allow_many_connections() -> None:
    """Take all the open files that the system grants: shells usually grant 1,024 until asked for more."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS grants less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def bind(settings: Settings) -> Iterator[socket.socket]:
    """The listening socket. Raises CannotServe."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    where = f"{settings.host} port {settings.port}"
    try:
        listener = socket.create_server((settings.host.strip("[]"), settings.port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"{where} is in use by another program: stop it, or set DEPLOYX_PORT."
            raise CannotServe(text, EXIT_UNAVAILABLE) from error
        if error.errno == errno.EACCES:
            text = f"This user may not listen on {where}: set DEPLOYX_PORT to 1024 or more."
            raise CannotServe(text, EXIT_NOPERM) from error
        raise CannotServe(f"The server cannot listen on {where}: {error.strerror}.", EXIT_CONFIG) from error
    with listener:
        listener.set_inheritable(False)
        # Accepted sockets inherit it. uvloop sets it always, asyncio only if the listener was made for TCP by number;
        # without it each answer on a connection but the first waits 40 ms for the peer's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # accepted sockets inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_S * 1000)
        yield listener


@contextlib.contextmanager
def hold_data(settings: Settings) -> Iterator[None]:
    """On SQLite, keep other servers away from the database file for as long as this one runs. Raises CannotServe."""
    database = make_url(settings.database_url).database
    if not settings.is_sqlite or not database:
        yield
        return
    path = Path(f"{database}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a+b") as file:
            if not _lock(file.fileno()):
                text = f"Another server is using {path.parent}: stop it, or set DEPLOYX_DATA_DIR."
                raise CannotServe(text, EXIT_TEMPFAIL)
            yield
    except OSError as error:
        raise CannotServe(f"The data folder {path.parent} cannot be used: {error.strerror}.", EXIT_CONFIG) from error


def _lock(descriptor: int) -> bool:
    """Lock the file until it is closed, which the system does even after kill -9. False when another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Server(uvicorn.Server):
    """uvicorn, with a word when it is ready, a goodbye before it closes sockets, and 0 as the exit code of both."""

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Callable[[], Awaitable[None]],
        ready: Callable[[], None],
        own: Certificate | None = None,
        drain_s: float = 0.0,
    ) -> None:
        super().__init__(config)
        self._drain_s = DRAIN_S + drain_s
        self._drain = drain
        self._ready = ready
        self._own = own
        self._following: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self._own:
            self._following = asyncio.create_task(self._own.follow())
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell everyone, then close."""
        if self._following:
            self._following.cancel()
        try:
            async with asyncio.timeout(self._drain_s):
                await self._drained()
        except Exception:
            log.exception("server.drain_failed")
        await super().shutdown(sockets)
        log.info("server.stopped")

    async def _drained(self) -> None:
        """Drain, unless a second signal says that it takes too long."""
        draining = asyncio.ensure_future(self._drain())
        try:
            while not self.force_exit and not draining.done():
                await asyncio.wait([draining], timeout=0.1)
            if draining.done():
                draining.result()
        finally:
            draining.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the server in order, the second at once; neither is raised again afterwards."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _up(url: str) -> None:
    """Keep the collector away from what lives as long as the process, and tell whoever waits until it is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    print(f"server.started url={url}", flush=True)  # noqa: T201


def uvicorn_config(app: Any, settings: Settings, own: Certificate | None = None) -> uvicorn.Config:
    """How ``app`` is served, here and in tests."""
    agents = getattr(getattr(app, "state", None), "handover", None)
    return uvicorn.Config(
        app,
        http=cast(Any, protocol(Waiting(settings.anonymous_max), agents, ZeroCopy())),
        ws=WebSocket,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # or it would override the ping timeout of the specification
        ws_max_size=WS_MESSAGE_MAX_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=CLOSE_S,
        ssl_context_factory=(lambda *_: own.context) if own else None,
    )


def _run(settings: Settings, listener: socket.socket, own: Certificate | None) -> None:
    with loading():
        from app.main import create_app  # everything else is checked before this is loaded

    app: Any = create_app(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{settings.scheme}://{host}:{settings.port}"
    drain_s = 0.0 if settings.is_sqlite else settings.drain_s
    server = Server(uvicorn_config(app, settings, own), app.state.drain, partial(_up, url), own, drain_s)
    server.run(sockets=[listener])
