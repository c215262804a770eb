"""The network of the model: connections and requests whose every message waits until the model delivers it.

A connection keeps the order of its messages, in each direction; between connections there is none. It may be cut at any
time: each end has already got some of what was on its way, and learns of the end when the model says so, so that one
side can believe in a connection that the other has given up.
"""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from deployx_agent.connection.transport import (
    Answer,
    Closed,
    ConnectError,
    Deliver,
    Received,
    RequestError,
    SendError,
    Sink,
)
from deployx_protocol import events
from tests.model.process import Gate, Process


@dataclass(frozen=True)
class Message:
    """An event on its way. ``payload`` is JSON."""

    event: str
    payload: str

    @classmethod
    def of(cls, event: str, payload: Any) -> "Message":
        """As the wire carries it."""
        return cls(event, json.dumps(payload))


@dataclass(frozen=True)
class End:
    """The end of a connection."""

    reason: str


Item = Message | End


@dataclass(eq=False)
class Connection:
    """One connection between a process of the agent and one of the server."""

    sid: str
    client: Process
    server: Process
    to_agent: Deliver
    up: deque[Item] = field(default_factory=deque)
    down: deque[Item] = field(default_factory=deque)
    past_up: list[Message] = field(default_factory=list)
    """What was delivered about tasks: it may come again."""
    past_down: list[Message] = field(default_factory=list)
    cut: bool = False
    agent_open: bool = True
    server_open: bool = True
    """Whether that end still believes in it."""

    def push_up(self, event: str, payload: Any) -> None:
        """The agent says something."""
        if not self.cut:
            self.up.append(Message.of(event, payload))

    def push_down(self, event: str, payload: Any) -> None:
        """The server says something."""
        if not self.cut:
            self.down.append(Message.of(event, payload))

    def break_off(self, keep_up: int, keep_down: int, reason: str) -> None:
        """Nothing passes any more but the first so many messages on their way; then each end learns of it."""
        if self.cut:
            return
        self.cut = True
        for queue, kept in ((self.up, keep_up), (self.down, keep_down)):
            while len(queue) > kept:
                queue.pop()
            queue.append(End(reason))

    @property
    def agent_listens(self) -> bool:
        """Whether the agent's end can take something."""
        return self.agent_open and not self.client.dead

    @property
    def server_listens(self) -> bool:
        """Whether the server's end can take something."""
        return self.server_open and not self.server.dead


@dataclass(eq=False)
class Exchange:
    """A request over HTTP. It has an answer once the server has given one, or is gone."""

    client: Process
    server: Process
    method: str
    path: str
    bearer: str
    body: bytes
    outcome: asyncio.Future[Answer]
    taken: bool = False
    answer: Answer | None = None

    def fail(self) -> None:
        """The agent gets no answer."""
        if not self.outcome.done():
            self.outcome.set_exception(RequestError("the connection broke"))

    def deliver(self) -> None:
        """The agent gets the answer."""
        if self.answer and not self.outcome.done():
            self.outcome.set_result(self.answer)


class Network:
    """All connections and requests. ``server`` is who listens, None while nobody does."""

    def __init__(self) -> None:
        self.server: Process | None = None
        self.connections: list[Connection] = []
        self.exchanges: list[Exchange] = []
        self._opened = 0

    def dial(self, client: Process, to_agent: Deliver) -> Connection:
        """Open a connection. Raises ConnectError."""
        if self.server is None or self.server.dead:
            raise ConnectError("nobody listens there")
        self._opened += 1
        connection = Connection(f"sid-{self._opened}", client, self.server, to_agent)
        self.connections.append(connection)
        return connection

    def ask(self, client: Process, method: str, path: str, bearer: str, body: bytes) -> Exchange:
        """Send a request. Raises RequestError."""
        if self.server is None or self.server.dead:
            raise RequestError("nobody listens there")
        outcome: asyncio.Future[Answer] = client.loop.create_future()
        exchange = Exchange(client, self.server, method, path, bearer, body, outcome)
        self.exchanges.append(exchange)
        return exchange

    def gone(self, process: Process, keep: int) -> None:
        """``process`` was killed: the kernel closes its connections; ``keep`` of what it sent is on its way still.

        But no registration: one that is read when a later process has come and gone counts against the device, and
        nothing that a server is told tells it apart from a copy.
        """
        for connection in self.connections:
            if process in (connection.client, connection.server):
                if any(item.event == events.AGENT_REGISTER for item in connection.up if isinstance(item, Message)):
                    connection.up.clear()
                connection.break_off(keep, keep, "transport close")

    def tidy(self) -> None:
        """Forget what nobody can hear of any more; a request that the server did not live to answer fails."""
        for exchange in self.exchanges:
            if exchange.server.dead and exchange.answer is None:
                exchange.fail()
        self.exchanges = [
            one for one in self.exchanges if not (one.client.dead and one.taken) and not one.outcome.done()
        ]
        self.connections = [one for one in self.connections if one.agent_listens or one.server_listens]


class AgentLink:
    """The agent's `Transport`."""

    def __init__(self, network: Network, process: Process, deliver: Deliver) -> None:
        self._network = network
        self._process = process
        self._deliver = deliver
        self._connection: Connection | None = None
        self.local_address = "127.0.0.1"

    async def open(self, timeout_s: float) -> None:
        """Connect. Raises ConnectError."""
        await self._process.gate(Gate.SEND)
        self._connection = self._network.dial(self._process, self._deliver)
        await self._process.gate(Gate.SENT)

    @property
    def nonce(self) -> str:
        """The connection's id."""
        assert self._connection
        return self._connection.sid

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Put an event on its way. Raises SendError."""
        await self._process.gate(Gate.SEND)
        if self._connection is None or not self._connection.agent_open:
            raise SendError("the connection is closed")
        self._connection.push_up(event, payload)
        await self._process.gate(Gate.SENT)

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        """Ask over HTTP. Raises RequestError."""
        await self._process.gate(Gate.SEND)
        return await self._network.ask(self._process, method, path, bearer, body).outcome

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        """Ask over HTTP, for all of it. Raises RequestError."""
        answer = await self.request("GET", path, bearer)
        if sink.begin(answer.status, {}):
            sink.write(answer.body)

    async def flush(self, timeout_s: float) -> bool:
        """What was sent is on its way."""
        return True

    async def close(self) -> None:
        """Let go."""
        if self._connection and not self._process.dead:
            self._connection.agent_open = False
            self._connection.break_off(len(self._connection.up), 0, "transport close")


def remember(past: list[Message], item: Item) -> None:
    """Keep what may come again."""
    if isinstance(item, Message) and item.event.startswith("task_"):
        past.append(item)


def deliver_down(connection: Connection) -> None:
    """The agent gets what comes next, in its loop, if it lives until then."""
    item = connection.down.popleft()
    if isinstance(item, End):
        connection.agent_open = False
        what: Received | Closed = Closed(item.reason)
    else:
        remember(connection.past_down, item)
        what = Received(item.event, json.loads(item.payload))

    def arrive() -> None:
        if not connection.client.dead:
            connection.to_agent(what)

    connection.client.loop.call_soon(arrive)
