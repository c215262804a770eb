"""The store in S3, or in what speaks its protocol: ``uploads/<id>/<offset>`` while they come, then as in a folder.

Invariants: any node may take any piece of an upload, since nothing of it stays on the node. The whole is made while it
is hashed, and only appears once the hash is right. In memory is one part of each upload, and what the client sends on.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.artifacts.store import READ_BYTES, SAVED_S, Missing, Saved, WrongHash
from app.errors import Unavailable

UPLOADS = "uploads"
PART_BYTES = 8 << 20
_CHUNK_BYTES = 16 << 20
"""Of the whole: S3 takes at most 10,000 of them."""
_AT_ONCE = 2
_PLACE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.[0-9a-f-]{36}")


class ObjectStore:
    """The store in ``bucket``, whose names all begin with what it was made with."""

    def __init__(self, bucket: S3Store) -> None:
        self._bucket = bucket

    async def receive(self, upload_id: str, offset: int, pieces: AsyncIterator[bytes], saved: Saved) -> None:
        """See ``Store``."""
        held, now = bytearray(), asyncio.get_running_loop().time
        due = now() + SAVED_S

        async def put() -> None:
            nonlocal offset
            if held:
                await self._put(f"{UPLOADS}/{upload_id}/{offset:020}", bytes(held))
                offset += len(held)
                held.clear()
            await saved(offset)

        try:
            async for piece in pieces:
                held += piece
                if len(held) >= PART_BYTES or now() >= due:
                    await put()
                    due = now() + SAVED_S
        except Exception:
            await put()
            raise
        await put()

    async def finish(self, upload_id: str, sha256: str, size: int, place: str) -> None:
        """See ``Store``."""
        if await self.size(place) == size:
            await self.discard(upload_id)
            return
        parts = await self._parts(upload_id)
        if sum(length for _, length in parts) != size:
            raise Missing
        digest = hashlib.sha256()

        async def whole() -> AsyncIterator[bytes]:
            for key, _ in parts:
                data = bytes(await (await obstore.get_async(self._bucket, key)).bytes_async())
                digest.update(data)
                yield data
            if digest.hexdigest() != sha256:
                raise WrongHash(sha256, digest.hexdigest())

        try:
            async with _reachable():
                await obstore.put_async(
                    self._bucket, place, whole(), use_multipart=True, chunk_size=_CHUNK_BYTES, max_concurrency=_AT_ONCE
                )
        except FileNotFoundError:
            raise Missing from None
        except WrongHash:
            await self.discard(upload_id)
            raise
        await self.discard(upload_id)

    async def discard(self, upload_id: str) -> None:
        """See ``Store``."""
        async with _reachable():
            async for page in obstore.list(self._bucket, f"{UPLOADS}/{upload_id}"):
                await obstore.delete_async(self._bucket, [one["path"] for one in page])

    async def size(self, place: str) -> int | None:
        """See ``Store``."""
        async with _reachable():
            with suppress(FileNotFoundError):
                return int((await obstore.head_async(self._bucket, place))["size"])
        return None

    async def read(self, place: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """See ``Store``."""
        if start >= end:
            return
        try:
            async with _reachable():
                found = await obstore.get_async(self._bucket, place, options={"range": (start, end)})
                async for block in found.stream(min_chunk_size=READ_BYTES):
                    yield bytes(block)
        except FileNotFoundError:
            raise Missing from None

    def path(self, place: str) -> Path | None:
        """There is none."""
        return None

    async def link(self, place: str, expires_s: int) -> str | None:
        """See ``Store``."""
        async with _reachable():
            return await obstore.sign_async(self._bucket, "GET", place, timedelta(seconds=expires_s))

    async def delete(self, place: str) -> None:
        """See ``Store``."""
        async with _reachable():
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._bucket, place)

    async def places(self, before: datetime) -> AsyncGenerator[str]:
        """See ``Store``."""
        async with _reachable():
            async for page in obstore.list(self._bucket):
                for one in page:
                    if one["last_modified"] < before and _PLACE.fullmatch(one["path"]):
                        yield one["path"]

    async def unfinished(self, before: datetime) -> AsyncGenerator[str]:
        """See ``Store``."""
        newest: dict[str, datetime] = {}
        async with _reachable():
            async for page in obstore.list(self._bucket, UPLOADS):
                for one in page:
                    upload_id = one["path"].split("/")[1]
                    newest[upload_id] = max(one["last_modified"], newest.get(upload_id, one["last_modified"]))
        for upload_id, last in newest.items():
            if last < before:
                yield upload_id

    async def room(self) -> int | None:
        """Nobody knows."""
        return None

    def close(self) -> None:
        """Nothing is open."""

    async def _put(self, key: str, data: bytes) -> None:
        async with _reachable():
            await obstore.put_async(self._bucket, key, data, use_multipart=False)

    async def _parts(self, upload_id: str) -> list[tuple[str, int]]:
        """The parts that follow each other, in order: a part that was sent again may have another length."""
        sizes: dict[str, int] = {}
        async with _reachable():
            async for page in obstore.list(self._bucket, f"{UPLOADS}/{upload_id}"):
                sizes |= {one["path"]: one["size"] for one in page}
        chain: list[tuple[str, int]] = []
        at = 0
        while size := sizes.get(key := f"{UPLOADS}/{upload_id}/{at:020}"):
            chain.append((key, size))
            at += size
        return chain


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        text = "The object store for artifacts does not answer as it should. Try again in a moment."
        raise Unavailable(text, retry_after_s=5) from error
