"""Which of a host's addresses is used: the first that answers, without waiting for one that never does."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from deployx_agent.connection import dialling
from deployx_agent.connection.dialling import dial

NAME = "deployx.example"
Answers = Callable[..., None]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on 127.0.0.1."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Makes the lookup of any name give these addresses."""

    def set_answer(*addresses: tuple[int, Any]) -> None:
        found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return set_answer


@pytest.fixture
def black_hole(monkeypatch: pytest.MonkeyPatch) -> tuple[int, Any]:
    """An address that nothing comes back from. No address of this machine is like that, so the attempt is replaced."""
    connect = dialling._connect

    async def attempt(family: int, address: Any) -> socket.socket:
        if address == hole[1]:
            await asyncio.Event().wait()
        return await connect(family, address)

    hole = (socket.AF_INET6, ("2001:db8::1", 443, 0, 0))
    monkeypatch.setattr(dialling, "_connect", attempt)
    return hole


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_literal_address_needs_no_lookup(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("it was looked up"))
    with await dial("127.0.0.1", port) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "what is said is not held back"
        assert sock.getpeername() == ("127.0.0.1", port)


async def test_what_fails_is_passed_over_at_once(port: int, answers: Answers) -> None:
    refused = (socket.AF_INET, ("127.0.0.1", closed_port()))
    answers(refused, refused, (socket.AF_INET, ("127.0.0.1", port)))
    with await dial(NAME, port) as sock:
        assert sock.getpeername()[1] == port


async def test_what_never_answers_is_overtaken(port: int, answers: Answers, black_hole: Any) -> None:
    answers(black_hole, black_hole, (socket.AF_INET, ("127.0.0.1", port)))
    with await dial(NAME, port) as sock:
        assert sock.getpeername()[1] == port


async def test_the_last_failure_is_told(answers: Answers) -> None:
    answers(*((socket.AF_INET, ("127.0.0.1", closed_port())) for _ in range(3)))
    with pytest.raises(ConnectionRefusedError):
        await dial(NAME, 80)
    answers()
    with pytest.raises(OSError, match="no address"):
        await dial(NAME, 80)


async def test_what_is_given_up_leaves_nothing_behind(answers: Answers, black_hole: Any) -> None:
    answers(black_hole, black_hole)
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(dialling._HEAD_START_S * 1.5):
            await dial(NAME, 443)
    assert asyncio.all_tasks() == before


def test_families_take_turns() -> None:
    four, six = (socket.AF_INET, "4"), (socket.AF_INET6, "6")
    assert dialling._in_turn([six, six, six, four, four]) == [six, four, six, four, six]
    assert dialling._in_turn([four]) == [four]
    assert dialling._in_turn([]) == []
