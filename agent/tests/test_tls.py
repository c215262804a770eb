"""Threat 18: whoever stands between agent and server without the server's certificate is told nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deployx_protocol import events
from deployx_protocol.tokens import new_enrollment_token
from tests.support.agent_process import StartAgent
from tests.support.authority import Authority
from tests.support.scripted_peer import Peer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Middle:
    """Ends TLS in front of ``peer``, and keeps what it could read of what agents said."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.read = bytearray()
        self.connections = 0

    @asynccontextmanager
    async def listening(self, context: ssl.SSLContext) -> AsyncIterator[int]:
        """The port, on 127.0.0.1."""
        inner = await asyncio.start_server(self._forward, "127.0.0.1", 0, ssl=context)
        outer = await asyncio.start_server(self._count(inner.sockets[0].getsockname()[1]), "127.0.0.1", 0)
        async with inner, outer:
            yield outer.sockets[0].getsockname()[1]
            await self._peer.stop()

    def _count(self, inner_port: int) -> Serve:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            await self._join(reader, writer, inner_port, keep=False)

        return accept

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._join(reader, writer, self._peer.port, keep=True)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, *, keep: bool) -> None:
        onward, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(self._pump(reader, back, keep=keep), self._pump(onward, writer, keep=False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if keep:
                    self.read += data
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority").make()


async def test_threat_18_the_right_certificate_is_accepted(
    peer: Peer, start_agent: StartAgent, authority: Authority
) -> None:
    middle = Middle(peer)
    async with middle.listening(authority.issue("IP:127.0.0.1")) as port:
        token = new_enrollment_token(f"https://127.0.0.1:{port}")
        agent = await start_agent(enrollment_token=token, ca_file=authority.certificate)
        await peer.until(events.REGISTRATION_ACK)
        assert peer.registrations()[0].origin == f"https://127.0.0.1:{port}"
        assert peer.registrations()[0].enrollment_token == token
        assert middle.read
        assert token.rsplit("_", 1)[1] not in agent.log


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("wrong authority", "unable to get local issuer certificate"),
        ("system's authorities", "unable to get local issuer certificate"),
        ("wrong name", "IP address mismatch"),
        ("expired", "certificate has expired"),
    ],
)
async def test_threat_18_any_other_certificate_is_told_nothing(
    peer: Peer, start_agent: StartAgent, authority: Authority, tmp_path: Path, case: str, why: str
) -> None:
    name = "IP:127.0.0.9,DNS:elsewhere.example" if case == "wrong name" else "IP:127.0.0.1"
    context = authority.issue(name, not_after="20250201000000Z" if case == "expired" else "21260101000000Z")
    trusted: Path | None = authority.certificate
    if case == "wrong authority":
        trusted = Authority(tmp_path / "another").make().certificate
    elif case == "system's authorities":
        trusted = None
    middle = Middle(peer)
    async with middle.listening(context) as port:
        agent = await start_agent(
            enrollment_token=new_enrollment_token(f"https://127.0.0.1:{port}"),
            ca_file=trusted,
            reconnect_attempts=1,
            reconnect_delay=0.01,
        )
        assert await agent.end() == 69
    assert why in agent.log
    assert middle.connections == 2, "it did try, and tried again"
    assert bytes(middle.read) == b""
    assert not peer.seen


async def test_threat_18_a_server_without_tls_is_told_nothing(peer: Peer, start_agent: StartAgent) -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(65_536))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        token = new_enrollment_token(origin)
        agent = await start_agent(enrollment_token=token, reconnect_attempts=1, reconnect_delay=0.01)
        assert await agent.end() == 69
    assert heard.startswith(b"\x16\x03"), "a TLS handshake, and nothing after it"
    assert token.encode() not in heard
    assert b"agent_register" not in heard
