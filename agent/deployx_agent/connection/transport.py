"""What a session needs from the wire below it, in one place: the wire can be replaced without touching the rest.

A transport is one connection: it is made, opened once, and closed once. Everything that comes from the server arrives
through ``deliver``, in the order in which it was sent; ``Closed`` is the last thing delivered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Received:
    """An event from the server; ``payload`` is whatever JSON it carried and is not checked yet."""

    event: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone."""

    reason: str


Deliver = Callable[[Received | Closed], None]


class ConnectError(Exception):
    """No connection: the sentence says why. Worth another attempt."""


class ConnectTimeout(ConnectError):
    """No connection in time."""


class SendError(Exception):
    """The connection is gone or does not take what is sent."""


class RequestError(Exception):
    """No answer to a request over HTTP: the sentence says why. Worth another attempt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request over HTTP."""

    status: int
    body: bytes


class Sink(Protocol):
    """Takes the answer to a download as it comes, in the thread that reads it. What it raises ends the download."""

    @property
    def block(self) -> int:
        """How many bytes to read at a time."""

    def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Whether the body of this answer is wanted. The names of its headers are in lower case."""

    def write(self, block: bytes) -> None:
        """Take the next bytes of it."""


class Transport(Protocol):
    """One connection to the server."""

    async def open(self, timeout_s: float) -> None:
        """Connect. Raises ConnectError or ConnectTimeout; then, too, ``close`` must be called."""

    @property
    def nonce(self) -> str:
        """What the server calls this connection (the Socket.IO sid); a registration's signature covers it."""

    @property
    def local_address(self) -> str:
        """The address of this machine from which the server is reached."""

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Hand an event to the wire. Raises SendError when the connection is gone."""

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        """Ask the same server over HTTP, for what is too large for an event. Raises RequestError."""

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        """Ask the same server for what is at ``path``, from its byte ``begin`` on. Raises RequestError, and what
        ``sink`` raises."""

    async def flush(self, timeout_s: float) -> bool:
        """Wait until all that was sent has been written; whether it was."""

    async def close(self) -> None:
        """Let go of everything, in bounded time, whatever state the connection is in. Never raises."""


OpenTransport = Callable[[Deliver], Transport]
"""Makes a transport that delivers to the given function."""
