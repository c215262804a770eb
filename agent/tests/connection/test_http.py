"""Requests beside the websocket: against a real server, and against one that says what it likes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from deployx_agent.connection import http
from deployx_agent.connection.http import Http
from deployx_agent.connection.socketio_transport import tls_context
from deployx_agent.connection.transport import Answer, RequestError
from deployx_protocol import limits
from tests.support.authority import Authority

ASKED = ("POST", "/api/agent/v1/x", "bearer-1", b"\x00body")


class Server:
    """Counts connections, and keeps what was asked for."""

    def __init__(self) -> None:
        self.connections: set[object] = set()
        self.hosts: set[str] = set()
        self.asked: list[tuple[str, str, str, bytes]] = []
        self.origin = ""
        self.answer: Callable[[], web.StreamResponse] = lambda: web.Response(body=b"fine")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections.add(request.transport)
        self.hosts.add(request.host)
        bearer = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((request.method, request.path_qs, bearer, await request.read()))
        return self.answer()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    application = web.Application(client_max_size=limits.OUTPUT_POST_MAX_BYTES * 2)
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    server.origin = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    yield server
    await runner.cleanup()


def peer(origin: str) -> tuple[str, int]:
    return "127.0.0.1", int(origin.rpartition(":")[2])


@contextlib.asynccontextmanager
async def asking(origin: str) -> AsyncIterator[Http]:
    asks = Http(origin, peer(origin), None)
    try:
        yield asks
    finally:
        asks.close()


@contextlib.asynccontextmanager
async def saying(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The origin of a server whose connections each end after the next of these answers."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"body")
            writer.write(left.pop(0))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as listener:
        yield f"http{'s' * bool(tls)}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def test_requests_follow_each_other_on_one_connection(server: Server) -> None:
    async with asking(server.origin) as asks:
        for _ in range(3):
            assert await asks.request(*ASKED) == Answer(200, b"fine")
        body = bytes(range(256)) * (limits.OUTPUT_POST_MAX_BYTES // 256)
        assert (await asks.request("POST", "/large", "b", body)).status == 200
        assert (await asks.request("GET", "/none", "b", b"")).status == 200
    assert server.asked[:3] == [ASKED] * 3
    assert server.asked[3:] == [("POST", "/large", "b", body), ("GET", "/none", "b", b"")]
    assert len(server.connections) == 1


async def test_the_server_that_has_the_websocket_is_asked_whatever_its_name_says(server: Server) -> None:
    asks = Http("http://deployx.invalid", peer(server.origin), None)
    assert await asks.request(*ASKED) == Answer(200, b"fine")
    asks.close()
    assert server.hosts == {"deployx.invalid"}


async def test_requests_at_once_have_connections_of_their_own(server: Server) -> None:
    async with asking(server.origin) as asks:
        answers = await asyncio.gather(*(asks.request(*ASKED) for _ in range(4)))
    assert answers == [Answer(200, b"fine")] * 4


async def test_a_redirect_is_an_answer_and_is_not_followed(server: Server) -> None:
    server.answer = lambda: web.Response(status=307, headers={"Location": f"{server.origin}/elsewhere"})
    async with asking(server.origin) as asks:
        assert (await asks.request(*ASKED)).status == 307
    assert len(server.asked) == 1


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


async def test_a_kept_connection_that_the_server_ended_is_replaced() -> None:
    async with saying(OK, OK) as origin, asking(origin) as asks:
        assert await asks.request(*ASKED) == Answer(200, b"fine")
        assert await asks.request(*ASKED) == Answer(200, b"fine")


async def test_threat_18_over_tls_the_same_certificate_is_asked_for(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "one").make(), Authority(tmp_path / "other").make()
    async with saying(OK, OK, OK, tls=authority.issue("IP:127.0.0.1")) as origin:
        asks = Http(origin, peer(origin), tls_context(authority.certificate))
        for _ in range(2):  # the second finds a kept connection that has ended
            assert await asks.request(*ASKED) == Answer(200, b"fine")
        asks.close()
        for trusted, name in ((other, origin), (authority, origin.replace("127.0.0.1", "127.0.0.2"))):
            asks = Http(name, peer(origin), tls_context(trusted.certificate))
            with pytest.raises(RequestError, match="CERTIFICATE_VERIFY_FAILED"):
                await asks.request(*ASKED)
            asks.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nfine",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
async def test_an_answer_may_come_in_any_form_that_http_has(answer: bytes) -> None:
    async with saying(answer) as origin, asking(origin) as asks:
        assert await asks.request(*ASKED) == Answer(200, b"fine")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed connection without response"),
        (b"SSH-2.0\r\n", "SSH-2.0"),
        (OK[:-1], "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(limits.SCRIPT_MAX_BYTES + 1), "the answer is too long"),
    ],
)
async def test_no_whole_answer_is_an_error_with_a_sentence(answer: bytes, why: str) -> None:
    async with saying(answer) as origin, asking(origin) as asks:
        with pytest.raises(RequestError, match=why):
            await asks.request(*ASKED)


async def test_nobody_there_is_an_error(server: Server) -> None:
    async with saying() as origin:
        pass
    async with asking(origin) as asks:
        with pytest.raises(RequestError, match="refused"):
            await asks.request(*ASKED)


@pytest.fixture
async def mute() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """The origin of a server that never answers; what is set once it was asked, and once the client has gone."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"body")
        asked.set()
        await reader.read()
        gone.set()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", asked, gone


async def test_closing_ends_what_is_under_way(mute: tuple[str, asyncio.Event, asyncio.Event]) -> None:
    origin, asked, gone = mute
    asks = Http(origin, peer(origin), None)
    request = asyncio.create_task(asks.request(*ASKED))
    await asked.wait()
    asks.close()
    with pytest.raises(RequestError, match="the connection is closed"):
        await request
    await gone.wait()
    with pytest.raises(RequestError, match="the connection is closed"):
        await asks.request(*ASKED)


async def test_no_answer_in_time_is_an_error(
    mute: tuple[str, asyncio.Event, asyncio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, _, gone = mute
    monkeypatch.setattr(http, "REQUEST_TIMEOUT_S", 0.2)
    async with asking(origin) as asks:
        with pytest.raises(RequestError, match=r"no answer within 0\.2 s"):
            await asks.request(*ASKED)
        await gone.wait()
