"""The server of the model: the gateway for agents and the services below it, on a database that outlives it.

Replaced are the sockets (by the model's network) and the clock. The database is a real one; each transaction passes
gates before it begins, before it commits and after.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.util import greenlet_spawn

from app.accounts.principal import Principal
from app.db import Database
from app.devices.presence import PresenceService
from app.devices.registration import RegistrationService
from app.errors import DeployXError, Unavailable
from app.realtime.agents import AgentGateway
from app.realtime.bus import LocalBus
from app.realtime.notices import Notices
from app.realtime.presence import PresenceLoop
from app.realtime.reasons import Reason
from app.realtime.sessions import Sessions
from app.realtime.tasks import TaskGateway
from app.settings import Settings
from app.tasks import agent_routes
from app.tasks.agent_access import AgentAccess
from app.tasks.cancelling import Cancelling
from app.tasks.delivery import DeliveryService
from app.tasks.reaper import ReaperService
from app.tasks.reports import ReportService
from app.tasks.runs import RunService
from app.uow import UnitOfWork
from app.web import problems
from app.web.metrics import Metrics
from deployx_agent.connection.transport import Answer
from tests.model.agent_side import ORIGIN
from tests.model.network import Connection, End, Exchange, Message, remember
from tests.model.process import EPOCH, Clock, Deed, Gate, Process

OPERATOR = Principal(1, "ada@example.test", "admin", token_id="model")
QUOTA_BYTES = 1 << 20


class GatedDatabase(Database):
    """The database as ``process`` reaches it: with connections of its own, and the ``engines`` of earlier processes,
    because what those have compiled need not be compiled again."""

    def __init__(self, engines: Database, process: "ServerProcess") -> None:
        self.url, self.is_sqlite = engines.url, engines.is_sqlite
        self._writer, self._reader = engines._writer, engines._reader
        self._process = process
        self._pools = []
        self._sockets: list[Any] = []
        for engine in {self._writer.sync_engine, self._reader.sync_engine}:
            engine.dispose(close=False)
            self._pools.append(engine.pool)
            if not self.is_sqlite:
                event.listen(engine.pool, "connect", self._connected)

    def _connected(self, connection: Any, _record: Any) -> None:
        self._sockets.append(connection.driver_connection._transport.get_extra_info("socket"))

    def break_off(self) -> None:
        """What the kernel does with the connections of a process that is gone: PostgreSQL rolls back what was open."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Give the connections of this process back."""
        for pool in self._pools:
            await greenlet_spawn(pool.dispose)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction, with what may happen to it."""
        if await self._process.gate(Gate.BEGIN) is Deed.AWAY or self._process.database_is_away():
            raise Unavailable("The database is away.")
        self._process.transactions += 1
        try:
            async with Database.write(self) as session:
                yield session
                await self._about_to_commit(session)
        finally:
            self._process.transactions -= 1
        if await self._process.gate(Gate.COMMITTED) is Deed.AWAY:
            raise Unavailable("The answer to the commit is lost.")

    @asynccontextmanager
    async def read(self, *, at_one_moment: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction that writes nothing, so that it does not matter where in it the process dies."""
        if self._process.dead:
            await self._process.wait_for_ever()
        if self._process.database_is_away():
            raise Unavailable("The database is away.")
        self._process.transactions += 1
        try:
            async with Database.read(self, at_one_moment=at_one_moment) as session:
                yield session
        finally:
            self._process.transactions -= 1

    async def _about_to_commit(self, session: AsyncSession) -> None:
        deed = self._process.sprung_at_commit()
        if deed is None:
            return
        await session.rollback()
        if deed is Deed.AWAY:
            raise Unavailable("The database went away before the commit.")
        self._process.transactions -= 1
        try:
            self._process.kill()
            await self._process.wait_for_ever()
        finally:
            self._process.transactions += 1


class ServerProcess(Process):
    """One run of the server."""

    def __init__(self, clock: Clock, engines: Database, away: Callable[[], bool], bugs: list[str]) -> None:
        super().__init__(clock, bugs)
        self.database_is_away = away
        self._now = lambda: datetime.fromtimestamp(EPOCH + clock.now, UTC)
        node_id = str(uuid4())
        self.db = db = GatedDatabase(engines, self)
        bus = LocalBus()
        uow = UnitOfWork(db, bus.publish)
        settings = Settings(public_url=[ORIGIN], enrollment="approval")
        counted = _metrics()
        self.sessions = sessions = Sessions()
        presence = PresenceService(uow, db, node_id=node_id, grace_s=settings.presence_grace_s, clock=self._now)
        self.runs = RunService(uow, db, lambda: presence.live_nodes, QUOTA_BYTES, clock=self._now)
        self.cancelling = Cancelling(uow, clock=self._now)
        registrations = RegistrationService(uow, node_id=node_id, approval=True, pending_max=10, clock=self._now)
        self._wire = _Wire(self)
        notices = Notices(self._wire, sessions)  # type: ignore[arg-type]
        self._presence = PresenceLoop(
            registrations,
            presence,
            sessions,
            counted,
            alone=db.is_sqlite,
            reregister=notices.register_again,
            clock=self._now,
        )
        self._work = TaskGateway(
            notices.emit,
            sessions,
            DeliveryService(uow, db, node_id=node_id, clock=self._now),
            ReportService(uow, self._now),
            ReaperService(uow, db, self._now),
            counted,
        )
        self.gateway = AgentGateway(
            self._wire,  # type: ignore[arg-type]
            sessions,
            notices,
            self._presence,
            self._work,
            settings,
            counted,
            self._now,
        )
        bus.subscribe(notices.hinted)
        bus.subscribe(self._work.hinted)
        self._http = FastAPI(openapi_url=None)
        problems.install(self._http)
        self._http.include_router(agent_routes.router(AgentAccess(db), self._work.post))
        self.start(self._run())

    async def _run(self) -> None:
        while True:
            try:
                await self._presence.start()
                break
            except Unavailable:
                await asyncio.sleep(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._presence.run())
            group.create_task(self._work.run())
            group.create_task(self._work.reap())

    @property
    def registered(self) -> set[str]:
        """The connections that speak for a device."""
        return {session.sid for session in self.sessions.by_device.values()}

    def release(self) -> None:
        self.db.break_off()

    def sprung_at_commit(self) -> Deed | None:
        """What happens before this commit."""
        return self._sprung(Gate.COMMIT)

    async def closed(self) -> None:
        await self.db.close()

    def ask(self, asked: Coroutine[Any, Any, Any]) -> "Asked":
        """Ask something of the server as the operator does."""
        return Asked(self, asked)

    # ------------------------------------------------------------ from the network

    def deliver_up(self, connection: Connection) -> None:
        """The server gets what comes next on ``connection``."""
        item = connection.up.popleft()
        remember(connection.past_up, item)
        self._wire.peer(connection).deliver(item)

    def answer(self, exchange: Exchange) -> None:
        """The server gets a request."""
        exchange.taken = True
        self.start(self._answer(exchange))

    async def _answer(self, exchange: Exchange) -> None:
        sent = iter([{"type": "http.request", "body": exchange.body, "more_body": False}])
        status, body = 500, b""

        async def receive() -> Any:
            try:
                return next(sent)
            except StopIteration:
                await self.wait_for_ever()

        async def send(message: Any) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        scope = {
            "type": "http",
            "method": exchange.method,
            "path": exchange.path,
            "raw_path": exchange.path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {exchange.bearer}".encode())],
            "client": ("10.0.0.1", 1),
            "server": ("server.model", 8000),
            "scheme": "http",
            "http_version": "1.1",
            "state": {"request_id": "model"},
        }
        await self._http(scope, receive, send)
        await self.gate(Gate.SEND)
        exchange.answer = Answer(status, body)


class Asked:
    """What an operator asked, and what came of it, once something did."""

    def __init__(self, server: ServerProcess, asked: Coroutine[Any, Any, Any]) -> None:
        self._server = server
        self._task = server.start(self._do(asked))
        self.result: Any = None
        self.error: DeployXError | None = None

    async def _do(self, asked: Coroutine[Any, Any, Any]) -> None:
        try:
            self.result = await asked
        except DeployXError as error:
            self.error = error

    @property
    def done(self) -> bool:
        """Whether there is an answer, or will never be one."""
        return self._task.done() or self._server.dead

    @property
    def answered(self) -> bool:
        """Whether the operator heard of a success."""
        return self._task.done() and self.error is None


class _Peer:
    """The server's end of a connection: its events are handled one after the other."""

    def __init__(self, server: ServerProcess, connection: Connection) -> None:
        self._server = server
        self.connection = connection
        self._inbox: asyncio.Queue[Message | End] = asyncio.Queue()
        server.start(self._serve())

    def deliver(self, item: Message | End) -> None:
        """Something has come."""
        self._inbox.put_nowait(item)

    async def _serve(self) -> None:
        gateway, sid = self._server.gateway, self.connection.sid
        environ = {"asgi.scope": {"client": ("10.0.0.1", 1)}}
        gateway.opened(f"e-{sid}", environ)
        await gateway.connecting(sid, environ, None)
        await gateway.connected(sid)
        while True:
            item = await self._inbox.get()
            if isinstance(item, End):
                await self.end(item.reason)
                return
            if self.connection.server_open:
                await gateway.received(sid, item.event, [json.loads(item.payload)])

    async def end(self, reason: str) -> None:
        """The connection is over on this side."""
        if self.connection.server_open:
            self.connection.server_open = False
            self.connection.break_off(0, len(self.connection.down), reason)
            await self._server.gateway.disconnected(self.connection.sid, reason)
            self._server.gateway.closed(f"e-{self.connection.sid}")

    async def probe(self, timeout_s: float) -> bool:
        """Whether the agent answers a ping."""
        if self.connection.cut or self.connection.client.dead:
            await asyncio.sleep(timeout_s)
        return self.connection.server_open and not self.connection.cut and not self.connection.client.dead


class _Wire:
    """What the gateway asks of `AgentLinks`."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._peers: dict[str, _Peer] = {}

    def peer(self, connection: Connection) -> _Peer:
        if connection.sid not in self._peers:
            self._peers[connection.sid] = _Peer(self._server, connection)
        return self._peers[connection.sid]

    @staticmethod
    def transport_id(sid: str) -> str:
        return f"e-{sid}"

    def strict(self, sid: str) -> bool:
        return self._open(sid) is not None

    async def probe(self, sid: str, timeout_s: float) -> bool:
        peer = self._open(sid)
        return peer is not None and await peer.probe(timeout_s)

    async def tell(self, sid: str, event: str, payload: Any) -> None:
        await self._server.gate(Gate.SEND)
        if peer := self._open(sid):
            peer.connection.push_down(event, payload.to_json())
        await self._server.gate(Gate.SENT)

    async def cut(self, sid: str) -> None:
        await self._peers[sid].end(Reason.SERVER_DISCONNECT)

    async def cut_transport(self, eio_sid: str) -> None:
        await self.cut(eio_sid.removeprefix("e-"))

    def _open(self, sid: str) -> _Peer | None:
        peer = self._peers.get(sid)
        return peer if peer and peer.connection.server_open else None


_counted: list[Metrics] = []


def _metrics() -> Metrics:
    """Made once: what it counts concerns nobody here, and making it takes long."""
    if not _counted:
        _counted.append(Metrics())
    return _counted[0]
