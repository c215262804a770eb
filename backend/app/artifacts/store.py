"""Where the bytes of artifacts are: one interface, in a folder (``folder``) or in an object store (``objects``).

Invariant: every name here was made by the server, from a checked SHA-256 and an id of its own; nothing that a client
said ever becomes part of a path. A place is never used twice, so whoever deletes one place cannot hit an artifact that
was stored anew meanwhile.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from app.errors import InvalidInput, OutOfSpace

READ_BYTES = 1 << 18
SAVED_S = 5.0
"""An upload that comes slowly is made durable so often; whoever waits for a server's word hears it by then."""


class WrongHash(InvalidInput):
    """What was uploaded is not what was announced."""

    code = "wrong_hash"

    def __init__(self, announced: str, received: str) -> None:
        super().__init__(f"The upload was announced as {announced}, and what came is {received}. Send it again.")


class Missing(Exception):
    """What should be there is not."""


Saved = Callable[[int], Awaitable[None]]


def place_of(sha256: str, upload_id: str) -> str:
    """The place of what an upload brings."""
    return f"{sha256[:2]}/{sha256}.{upload_id}"


class Store(Protocol):
    """Holds bytes. Everything may raise Unavailable, and what writes OutOfSpace."""

    async def receive(self, upload_id: str, offset: int, pieces: AsyncIterator[bytes], saved: Saved) -> None:
        """Keep what comes, from ``offset`` on; what is there beyond it is forgotten.

        ``saved`` is told again and again up to which byte it would outlive a power cut, and once more when it ends,
        also with an exception of ``pieces``. Raises Missing when there are no ``offset`` bytes.
        """

    async def finish(self, upload_id: str, sha256: str, size: int, place: str) -> None:
        """Put an upload in its place, if it is what it should be. Repeated, it does nothing.

        Raises WrongHash, and Missing when there are not so many bytes of it.
        """

    async def discard(self, upload_id: str) -> None:
        """Forget an upload, whatever there is of it."""

    async def size(self, place: str) -> int | None:
        """How many bytes are there; None: it is not."""

    def read(self, place: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """Those bytes, a block at a time. Raises Missing."""

    def path(self, place: str) -> Path | None:
        """The file, where there is one."""

    async def link(self, place: str, expires_s: int) -> str | None:
        """An address under which whoever has it may read it for a while, if the store has such."""

    async def delete(self, place: str) -> None:
        """Delete what is there, if anything."""

    def places(self, before: datetime) -> AsyncGenerator[str]:
        """All places that were filled before that."""

    def unfinished(self, before: datetime) -> AsyncGenerator[str]:
        """The ids of all uploads of which there is something that has not changed since."""

    def close(self) -> None:
        """Let go of threads."""

    async def room(self) -> int | None:
        """How many bytes fit, if that is known."""


def no_room() -> OutOfSpace:
    """The answer when a disk is full."""
    return OutOfSpace("The server's disk for artifacts is full. What came until now is kept; make room and go on.")
