"""Sending artifacts: by the kernel, by nginx, from an object store, or block by block.

Invariants: what is in memory does not grow with the artifact or with who reads it how slowly; the disk is read beside
the loop. At most ``downloads_max`` are under way. Since the hash is the name, the tag never changes and may be kept for
ever.
"""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from app.artifacts.models import Artifact
from app.artifacts.store import Missing, Store
from app.errors import NotFound, Unavailable
from app.settings import Settings
from app.tasks import ranges
from app.tasks.archive import file_name

LINK_S = 900
"""How long a link to the object store is good to begin with."""
ZERO_COPY = "http.response.zerocopysend"
_SLICES_PER_S = 4
_WHOLE = 1 << 62


class Sender:
    """Answers with artifacts."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._accel = "" if settings.artifacts_url else settings.artifacts_accel
        self._redirect = settings.artifacts_redirect
        self._most = settings.downloads_max
        self._rate = settings.artifact_send_rate * 1024
        self._under_way = 0

    async def answer(self, artifact: Artifact, request: Request) -> Response:
        """The answer to a GET or HEAD. Raises NotFound when the file is gone, Unavailable when too many are read."""
        headers = {
            "accept-ranges": "bytes",
            "etag": f'"{artifact.sha256}"',
            "cache-control": "private, max-age=31536000, immutable",
            "content-disposition": f"attachment; filename*=UTF-8''{quote(file_name(artifact.name), safe='')}",
        }
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if await self._store.size(artifact.place) != artifact.size:
            raise NotFound("The server has lost the file of this artifact. Upload it again.", code="artifact_lost")
        if self._accel:
            limit = {"x-accel-limit-rate": str(self._rate)} if self._rate else {}
            headers |= {"x-accel-redirect": f"{self._accel}{artifact.place}", **limit}
            return Response(headers=headers, media_type="application/octet-stream")
        if request.method == "HEAD":
            return self._range(artifact, request, headers)
        if self._redirect and (link := await self._store.link(artifact.place, LINK_S)):
            return RedirectResponse(link, 307, {"cache-control": "no-store"})
        if self._under_way >= self._most:
            text = f"{self._most} downloads are under way already; try again in a moment."
            raise Unavailable(text, code="too_many_downloads", retry_after_s=5)
        return self._range(artifact, request, headers)

    def _range(self, artifact: Artifact, request: Request, headers: dict[str, str]) -> Response:
        asked = request.headers.get("range")
        if request.headers.get("if-range", headers["etag"]) != headers["etag"]:
            asked = None
        try:
            wanted = ranges.byte_range(asked, artifact.size) if request.method == "GET" else None
        except ranges.Unsatisfiable:
            text = f"This range begins after the end of what there is, {artifact.size} bytes."
            raise HTTPException(416, text, {"content-range": f"bytes */{artifact.size}"}) from None
        start, end = wanted or (0, artifact.size)
        headers["content-length"] = str(end - start)
        if wanted:
            headers["content-range"] = f"bytes {start}-{end - 1}/{artifact.size}"
        return _File(
            self._store, artifact.place, start, end, self._rate, self._counted, 206 if wanted else 200, headers
        )

    def _counted(self, change: int) -> None:
        self._under_way += change


class _File(Response):
    """A part of a file."""

    media_type = "application/octet-stream"

    def __init__(
        self,
        store: Store,
        place: str,
        start: int,
        end: int,
        rate: int,
        counted: Callable[[int], None],
        status: int,
        headers: dict[str, str],
    ) -> None:
        super().__init__(None, status, headers)
        self._store = store
        self._place = place
        self._start = start
        self._end = end
        self._rate = rate
        self._counted = counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._counted(1)
        try:
            if scope["method"] == "HEAD" or self._start >= self._end:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": b""})
            elif ZERO_COPY in scope.get("extensions", {}) and (path := self._store.path(self._place)):
                await self._by_kernel(path, send)
            else:
                await self._by_blocks(receive, send)
        finally:
            self._counted(-1)

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _by_kernel(self, path: Path, send: Send) -> None:
        try:
            file = await asyncio.to_thread(os.open, path, os.O_RDONLY)
        except FileNotFoundError:
            raise NotFound("The server has lost the file of this artifact.", code="artifact_lost") from None
        try:
            await self._begin(send)
            at, begun = self._start, time.monotonic()
            while at < self._end:
                count = min(self._end - at, self._rate // _SLICES_PER_S if self._rate else _WHOLE)
                more = at + count < self._end
                await send({"type": ZERO_COPY, "file": file, "offset": at, "count": count, "more_body": more})
                at += count
                await self._pause(at, begun)
        finally:
            os.close(file)

    async def _by_blocks(self, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive))
        try:
            async with aclosing(self._store.read(self._place, self._start, self._end)) as blocks:
                first = await anext(blocks)  # before it is too late to say that there is none
                await self._begin(send)
                at, begun, block = self._start, time.monotonic(), first
                while not gone.done():
                    at += len(block)
                    await send({"type": "http.response.body", "body": block, "more_body": at < self._end})
                    if at >= self._end:
                        return
                    await self._pause(at, begun)
                    block = await anext(blocks)
        except Missing:
            raise NotFound("The server has lost the file of this artifact.", code="artifact_lost") from None
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    async def _pause(self, at: int, begun: float) -> None:
        if self._rate and at < self._end:
            await asyncio.sleep(begun + (at - self._start) / self._rate - time.monotonic())


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
