"""A load balancer for tests: each new connection goes to the next server that takes it, as plain TCP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from tests.support.proxy import Proxy


class Balancer(Proxy):
    """In front of the servers at ``ports``, which may be changed: where each connection goes is decided as it comes."""

    def __init__(self, ports: Sequence[int] = ()) -> None:
        super().__init__(0)
        self.ports = list(ports)

    async def upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the next server that takes one. Raises OSError when there is none."""
        for _ in range(len(self.ports)):
            port = self.ports.pop(0)
            self.ports.append(port)
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        raise ConnectionRefusedError("no server takes a connection")


@contextlib.asynccontextmanager
async def balancing() -> AsyncIterator[Balancer]:
    """A running balancer without servers."""
    balancer = Balancer()
    await balancer.start()
    try:
        yield balancer
    finally:
        await balancer.stop()
