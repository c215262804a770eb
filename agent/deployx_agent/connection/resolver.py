"""Looking up the server's address without holding up the end of the process.

The system's lookup cannot be interrupted and takes half a minute when no name server answers. asyncio and aiohttp run
it in a thread pool, whose threads Python waits for before it exits; then a stop would be a kill by the service manager.
"""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult


class Resolver(AbstractResolver):
    """The system's lookup, each in a thread of its own that nothing waits for."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``. Raises OSError, or UnicodeError for what cannot be a name."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()

        def finish(addresses: list[Any], error: Exception | None) -> None:
            if not found.done():
                found.set_exception(error) if error else found.set_result(addresses)

        def look_up() -> None:
            addresses: list[Any] = []
            error: Exception | None = None
            try:
                addresses = socket.getaddrinfo(
                    host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
                )
            except Exception as raised:  # UnicodeError as well; nobody but the waiting task may see it
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(finish, addresses, error)

        threading.Thread(target=look_up, name="lookup", daemon=True).start()
        return [_result(host, port, *address) for address in await found]

    async def close(self) -> None:
        """Nothing is kept."""


def _result(host: str, port: int, family: int, _kind: int, proto: int, _name: str, address: Any) -> ResolveResult:
    found, scope = address[0], address[3] if len(address) > 3 else 0
    return ResolveResult(
        hostname=host,
        host=f"{found}%{scope}" if scope else found,
        port=port,
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
