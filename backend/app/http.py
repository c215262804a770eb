"""uvicorn's HTTP protocol, with the limits that it lacks: a request has to arrive, in time, and its head has a size.

Without them whoever opens a connection and says nothing, or a byte now and then, holds it for ever, and a head without
an end fills the memory.

Invariant: a connection is answering a request, resting between two for a few seconds, upgraded to a websocket, or gone
within ``REQUEST_S``; but for an upload, which has as long as it keeps coming.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.complaints import Complaints
from app.realtime.agentlink.handover import Handover
from app.zerocopy import ZeroCopy

REQUEST_S = 10.0
"""How long a request may take to arrive, from the opening of its connection or its first byte to its last."""
PROMPT_S = 1.0
"""Requests that arrive sooner are never counted, however many an address sends at once."""
UPLOADS = b"/api/v1/artifacts/uploads/"
"""Requests below this path are large and go to the disk as they come. Of their bodies ``UPLOAD_LEAST_BYTES`` have to
arrive within each ``REQUEST_S``."""
UPLOAD_LEAST_BYTES = 4_096
HEAD_MAX_BYTES = 65_536
"""What of a request is not its body: its line, its headers, the frames of a chunked body."""


class Waiting:
    """How many connections of each address owe a request: ``most`` at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_address: Counter[str] = Counter()
        self._complaints = Complaints("http.refused")

    def admit(self, address: str) -> bool:
        """Count one more, if there is room."""
        if self._by_address[address] >= self._most:
            return False
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One that was admitted waits no longer."""
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def complain(self, address: str, why: str) -> None:
        """Log, a few times a minute for each address."""
        self._complaints.note(address, why)


def protocol(
    waiting: Waiting, agents: Handover | None = None, files: ZeroCopy | None = None
) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes for each connection; all share these."""
    http = partial(Http, waiting=waiting, agents=agents, files=files)
    return partial(Opened, http, agents) if agents else http


class Opened(asyncio.Protocol):
    """A connection of which nothing has come yet.

    Of most an agent's handshake comes next, whole, and ``agents`` takes them: they cost no more than this. Any other
    becomes an ``Http``, made by ``make``, when its first bytes are there or are late.
    """

    __slots__ = ("_agents", "_all", "_make", "_timer", "_transport")

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(
        self, make: Callable[..., "Http"], agents: Handover, *, server_state: ServerState, **options: Any
    ) -> None:
        self._make = partial(make, server_state=server_state, **options)
        self._agents = agents
        self._all = server_state.connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request is due from now on."""
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(PROMPT_S, self._become_http)
        self._all.add(self)  # type: ignore[arg-type]

    def connection_lost(self, _exc: Exception | None) -> None:
        """It went without a word."""
        self._end()

    def data_received(self, data: bytes) -> None:
        """See what it is."""
        if self._agents.takes_at_once(self._transport, data):
            self._end()
        else:
            self._become_http().data_received(data)

    def shutdown(self) -> None:
        """The server stops."""
        self._transport.close()

    def _become_http(self) -> "Http":
        self._end()
        http = self._make(due=self._timer.when())
        self._transport.set_protocol(http)
        http.connection_made(self._transport)
        return http

    def _end(self) -> None:
        self._timer.cancel()
        self._all.discard(self)


class Http(HttpToolsProtocol):
    """One connection until it is upgraded or gone. Those that share ``waiting`` share its limit.

    ``agents`` takes over the websockets that are its own; ``files`` sends what the application hands to the kernel.
    ``due`` is when its first request is no longer prompt, by the loop's clock, if the connection was open before.
    """

    def __init__(
        self,
        *args: Any,
        waiting: Waiting,
        agents: Handover | None = None,
        files: ZeroCopy | None = None,
        due: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        if files:
            self.app = files.offered(self.app)
        self._agents = agents
        self._waiting = waiting
        self._address = ""
        self._timer: asyncio.TimerHandle | None = None
        self._counted = False
        self._due = due
        self._head_bytes = 0
        self._come_bytes = 0
        """Of a body, since it was last looked whether it keeps coming."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request is due from now on."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else "unknown"
        due = self.loop.time() + PROMPT_S if self._due is None else self._due
        self._timer = self.loop.call_at(due, self._slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._settle()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless the head has become too large."""
        self._expect()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_MAX_BYTES and self._timer:
            self._refuse(431, "the head of a request is too large")

    def on_message_begin(self) -> None:
        """A request begins, the first or the next."""
        super().on_message_begin()
        self._expect()

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which is bounded by whoever reads it."""
        self._head_bytes -= len(body)
        self._come_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._settle()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on the handlers of websockets have deadlines of their own."""
        if self._agents and self._agents.wants(self.url):
            self._agents.take(self.transport, self.scope)
            self._give_up()
        else:
            self._settle()
            super().handle_websocket_upgrade()

    def _give_up(self) -> None:
        """The connection is somebody else's: nothing is due here, and what was held for it would stay for long."""
        self._settle()
        self.connections.discard(self)
        self.parser = self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def _expect(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(PROMPT_S, self._slow)

    def _settle(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._counted:
            self._waiting.leave(self._address)
            self._counted = False
        self._head_bytes = 0

    def _slow(self) -> None:
        if not self._waiting.admit(self._address):
            self._refuse(503, "too many connections of one address owe a request")
            return
        self._counted = True
        self._timer = self.loop.call_later(REQUEST_S - PROMPT_S, self._late)

    def _late(self) -> None:
        coming = self._come_bytes >= UPLOAD_LEAST_BYTES and self.url.startswith(UPLOADS)
        self._come_bytes = 0
        if coming or self.flow.read_paused:  # in the second case it is we who do not read
            self._timer = self.loop.call_later(REQUEST_S, self._late)
            return
        self._refuse(408, "a request did not arrive in time")

    def _refuse(self, status: int, why: str) -> None:
        """Answer, unless somebody else does, and close."""
        self._settle()
        if self.transport.is_closing():
            return
        self._waiting.complain(self._address, why)
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
