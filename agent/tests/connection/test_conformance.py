"""The agent's client against others' servers: the protocol's reference (socket.io on node) and python-socketio.

Each does what ``reference.mjs`` and ``reference.py`` say alike. What only one of the two can be brought to is not here.
"""

import asyncio
import contextlib
import functools
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap import node
from deployx_agent.connection.socketio_transport import SocketIOTransport
from deployx_agent.connection.transport import Closed, ConnectError, Received, SendError
from deployx_agent.connection.wire import Wire
from deployx_protocol import limits, packets

HERE = Path(__file__).parent
PACKAGE = HERE.parents[2] / "frontend" / "package.json"
DEADLINE_S = 30.0
OPTIONS = {"ping_interval_s": 25, "ping_timeout_s": 60, "max_bytes": 1_000_000, "refuse": None}


@functools.cache
def _environment() -> dict[str, str]:
    """Asking node and npm for their versions takes longer than starting a server."""
    return node.environment()


class Reference:
    """One server. ``left`` are the reasons it gave for connections that ended."""

    def __init__(self, process: asyncio.subprocess.Process, origin: str) -> None:
        self.process = process
        self.origin = origin

    async def left(self) -> str:
        """Why the next connection ended, in the server's words."""
        return await self._line("left: ")

    async def _line(self, start: str) -> str:
        assert self.process.stdout
        async with asyncio.timeout(DEADLINE_S):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith(start), line
        return line.removeprefix(start).strip()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, kind: str, **options: Any) -> AsyncIterator["Reference"]:
        said = json.dumps(OPTIONS | options)
        env = _environment()
        command: dict[str, list[str | Path]] = {
            "node": ["node", HERE / "reference.mjs", PACKAGE, said],
            "python": [sys.executable, HERE / "reference.py", said],
        }
        process = await asyncio.create_subprocess_exec(
            *command[kind], env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            server = cls(process, "")
            server.origin = f"http://127.0.0.1:{await server._line('')}"
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class Client:
    """Our transport, and what it delivers, in order."""

    def __init__(self, origin: str) -> None:
        self._heard: asyncio.Queue[Received | Closed] = asyncio.Queue()
        self.transport = SocketIOTransport(origin, None, self._heard.put_nowait)

    async def asks(self, event: str, payload: Any = None) -> Any:
        """What is delivered first after this."""
        await self.sends(event, payload)
        return await self.hears()

    async def sends(self, event: str, payload: Any = None) -> None:
        """As the agent does, whose payloads are all objects; others are as good on the wire."""
        await self.transport.send(event, payload)

    async def hears(self) -> Received | Closed:
        """What is delivered next."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._heard.get()

    @property
    def silent(self) -> bool:
        """Whether there is nothing that was not taken."""
        return self._heard.empty()


class Hand:
    """A connection packet by packet, for what the agent never says."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[packets.Packet | str] = asyncio.Queue()
        self.wire = Wire(lambda raw: self._heard.put_nowait(packets.decode(raw)), self._heard.put_nowait)

    async def hears(self) -> packets.Packet | str:
        """The next packet, or why no more will come."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._heard.get()

    async def enters(self, origin: str, auth: dict[str, Any] | None) -> packets.Packet | str:
        """The server's answer to CONNECT."""
        await self.wire.open(origin, "/socket.io/?EIO=4&transport=websocket", None)
        assert isinstance(await self.hears(), packets.Open)
        self.wire.send(packets.encode(packets.Connect(auth)))
        return await self.hears()


Serve = Callable[..., Awaitable[Reference]]
Enter = Callable[[Reference], Awaitable[Client]]


@pytest.fixture(params=["node", "python"])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    async with contextlib.AsyncExitStack() as stack:

        async def start(**options: Any) -> Reference:
            return await stack.enter_async_context(Reference.running(request.param, **options))

        yield start


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    clients: list[Client] = []

    async def start(server: Reference) -> Client:
        clients.append(Client(server.origin))
        await clients[-1].transport.open(DEADLINE_S)
        return clients[-1]

    yield start
    for client in clients:
        await client.transport.close()


async def test_handshake_events_acknowledgements_and_goodbye(serve: Serve, enter: Enter) -> None:
    server = await serve()
    client = await enter(server)
    assert client.transport.nonce
    assert client.transport.local_address == "127.0.0.1"
    payloads: list[Any] = [
        {"text": "\u00e4\u20ac\U0001f600", "list": [1, -2.5, None, True]},
        [],
        "",
        0,
        {"x": "y" * 60_000},
    ]
    for payload in payloads:
        assert await client.asks("ask", payload) == Received("answer", payload)
    for number in range(200):
        await client.transport.send("ask", {"number": number})
    assert [await client.hears() for _ in range(200)] == [Received("answer", {"number": n}) for n in range(200)]
    assert await client.asks("question") == Received("question", {})
    assert await client.hears() == Received("answered", [])  # an acknowledgement that says nothing
    assert await client.transport.flush(DEADLINE_S)
    await client.transport.close()
    assert await server.left() in ("client namespace disconnect", "client disconnect")
    assert client.silent
    with pytest.raises(SendError):
        await client.transport.send("ask", {})


async def test_connect_with_auth_and_asking_for_acknowledgements(serve: Serve) -> None:
    server = await serve()
    hand = Hand()
    entered = await hand.enters(server.origin, {"token": "\u00e4"})
    assert isinstance(entered, packets.Connect)
    assert entered.data and entered.data["sid"]
    hand.wire.send(packets.encode(packets.Event("who", [None])))
    assert await hand.hears() == packets.Event("you", [{"token": "\u00e4"}])
    for ack_id in (0, 7, 10**15):
        hand.wire.send(packets.encode(packets.Event("ask", [{"a": ack_id}], ack_id)))
        assert {str(await hand.hears()), str(await hand.hears())} == {
            str(packets.Event("answer", [{"a": ack_id}])),
            str(packets.Ack(ack_id, [{"a": ack_id}])),
        }
    hand.wire.send(packets.encode(packets.Disconnect()))
    assert await server.left() in ("client namespace disconnect", "client disconnect")
    await hand.wire.close()


async def test_connect_error_says_why_and_carries_data(serve: Serve) -> None:
    server = await serve(refuse={"message": "No entry today", "data": {"code": "closed"}})
    transport = Client(server.origin).transport
    with pytest.raises(ConnectError, match=r"^No entry today$"):
        await transport.open(DEADLINE_S)
    await transport.close()
    hand = Hand()
    refused = await hand.enters(server.origin, None)
    assert refused == packets.ConnectError({"message": "No entry today", "data": {"code": "closed"}})
    await hand.wire.close()


async def test_heartbeats_keep_a_connection_and_silence_ends_it(serve: Serve, enter: Enter) -> None:
    server = await serve(ping_interval_s=1, ping_timeout_s=1)
    client = await enter(server)
    assert await client.asks("later", 3) == Received("answer", 3)
    server.process.send_signal(signal.SIGSTOP)
    assert await client.hears() == Closed("nothing came from the server for 2 s")
    assert client.transport.nonce == ""
    server.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("how", ["leave", "drop", "send_binary"])
async def test_the_end_is_delivered_once_and_last(serve: Serve, enter: Enter, how: str) -> None:
    server = await serve()
    client = await enter(server)
    await client.transport.send("ask", {"last": 1})
    await client.sends(how)
    assert await client.hears() == Received("answer", {"last": 1})
    ended = await client.hears()
    assert isinstance(ended, Closed) and ended.reason
    await server.left()
    await client.transport.close()
    assert client.silent


async def test_oversize_both_ways(serve: Serve, enter: Enter) -> None:
    server = await serve(max_bytes=10_000)
    longest = limits.AGENT_MESSAGE_MAX_BYTES - len('42["answer",""]')
    client = await enter(server)
    assert await client.asks("send_long", longest) == Received("answer", "x" * longest)
    with pytest.raises(SendError, match="bytes"):
        await client.transport.send("ask", {"x": "y" * limits.AGENT_MESSAGE_MAX_BYTES})
    ended = await client.asks("send_long", longest + 1)
    assert isinstance(ended, Closed) and f"longer than {limits.AGENT_MESSAGE_MAX_BYTES} bytes" in ended.reason
    await server.left()
    again = await enter(server)
    await again.transport.send("ask", {"x": "y" * 20_000})
    assert isinstance(await again.hears(), Closed)
    await server.left()


async def test_a_server_that_is_killed_is_a_closed_connection(serve: Serve, enter: Enter) -> None:
    server = await serve()
    client = await enter(server)
    server.process.kill()
    assert isinstance(await client.hears(), Closed)
