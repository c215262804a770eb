"""A server of ours inside a test: on a real socket, with people in it and a clock that the test moves."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx2
import uvicorn

from app.accounts.auth import COOKIE
from app.clock import utcnow

PASSWORD = "correct horse battery"


class ManualClock:
    """A clock that only moves when told to; wall time and monotonic time together."""

    def __init__(self) -> None:
        self.now = utcnow()
        self._started = self.now

    def __call__(self) -> datetime:
        """The wall-clock time."""
        return self.now

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return (self.now - self._started).total_seconds()

    def advance(self, **delta: float) -> None:
        """Let time pass."""
        self.now += timedelta(**delta)


@dataclass
class Person:
    """A user with an API token and a session."""

    id: int
    email: str
    token: str
    cookie: str

    @property
    def bearer(self) -> dict[str, str]:
        """Headers that speak with the token."""
        return {"authorization": f"Bearer {self.token}"}

    @property
    def browser(self) -> dict[str, str]:
        """Headers that a page of ours sends."""
        return {"cookie": f"{COOKIE}={self.cookie}", "sec-fetch-site": "same-origin"}


MakePerson = Callable[..., Awaitable[Person]]
Browse = Callable[..., httpx2.AsyncClient]


@dataclass
class Site:
    """A running server and a client for it."""

    url: str
    client: httpx2.AsyncClient


class Prompt(uvicorn.Server):
    """A server that hears at once that it shall stop; uvicorn's own looks ten times a second."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._asked = asyncio.Event()

    def ask_to_stop(self) -> None:
        """As a signal does."""
        self.should_exit = True
        self._asked.set()

    async def main_loop(self) -> None:
        """What uvicorn does once a second, until it is asked to stop."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), 1)


@contextlib.asynccontextmanager
async def running(app: Any, *, trusted_proxies: Sequence[str] = ()) -> AsyncIterator[Site]:
    """``app`` behind uvicorn on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the server does
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
        )
        server = Prompt(config)
        task = asyncio.create_task(server._serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=url, verify=False) as client:
            yield Site(url, client)
        server.ask_to_stop()
        await task
