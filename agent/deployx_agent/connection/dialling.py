"""From a host's name to an open TCP connection, over whichever of its addresses answers first.

A name often has an IPv6 address that leads nowhere from here. So the next address is tried when one has failed or has
not answered for a quarter of a second, both families in turn, and the first that answers is used (RFC 8305).
"""

import asyncio
import ipaddress
import socket
from itertools import chain, zip_longest
from typing import Any

from deployx_agent.connection.background import in_thread

_HEAD_START_S = 0.25
Address = tuple[int, Any]
"""A family, and an address for ``connect``."""


async def dial(host: str, port: int) -> socket.socket:
    """An open, non-blocking connection. Raises OSError, or UnicodeError for what cannot be a name."""
    waiting = _in_turn(_literal(host, port) or await in_thread(lambda: _look_up(host, port), "lookup"))
    trying: set[asyncio.Task[socket.socket]] = set()
    failure = OSError("the name has no address")
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_connect(*waiting.pop(0))))
            done, trying = await asyncio.wait(
                trying, timeout=_HEAD_START_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (found := _result(task)) is None:
                    failure = _failure(task)
                    continue
                trying |= done - {task}
                return found
        raise failure
    finally:
        for task in trying:
            task.cancel()
        for late in await asyncio.gather(*trying, return_exceptions=True):
            if isinstance(late, socket.socket):
                late.close()


def _result(task: "asyncio.Task[socket.socket]") -> socket.socket | None:
    return None if task.exception() else task.result()


def _failure(task: "asyncio.Task[socket.socket]") -> OSError:
    error = task.exception()
    return error if isinstance(error, OSError) else OSError(str(error))


async def _connect(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or what is said next waits for an acknowledgement
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _literal(host: str, port: int) -> list[Address]:
    """What needs no lookup, and so no thread."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return []
    return [(socket.AF_INET, (host, port)) if version == 4 else (socket.AF_INET6, (host, port, 0, 0))]


def _look_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [(family, address) for family, _kind, _protocol, _name, address in found]


def _in_turn(addresses: list[Address]) -> list[Address]:
    """The families by turns, beginning with the one that the system puts first."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, others)) if address is not None]
