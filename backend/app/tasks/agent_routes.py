"""HTTP for agents: output beyond the preview goes in, scripts come out. None of it is for people or their tokens.

Invariant: of all that agents post, only ``READING_MAX`` requests are in memory at a time; the others wait unread.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Annotated, Any

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from app.errors import InvalidInput, TooManyAttempts
from app.routing import Router
from app.tasks.agent_access import AgentAccess
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.frames import Frame, decode

READING_MAX = 16
DEVICE_MAX = 4
"""How many requests of one device may be open at a time: as many as tasks that it runs at once."""
FRAMES_MAX = 2_000
"""How many frames of one request are taken; the answer says which one is wanted next."""

Store = Callable[[int, str, Sequence[Frame], str], Awaitable[int]]
"""Commits frames of (device, task), which came from an address; the seq that is wanted next."""


def router(access: AgentAccess, store: Store) -> Router:
    """``/api/agent/v1``."""
    routes = Router(prefix="/api/agent/v1", include_in_schema=False)
    turn = asyncio.Semaphore(READING_MAX)
    posting: Counter[int] = Counter()

    @routes.post("/tasks/{task_id}/output")
    async def post_output(
        request: Request,
        task_id: Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")],
        device_id: Annotated[int, Depends(access)],
    ) -> dict[str, int]:
        if posting[device_id] >= DEVICE_MAX:
            raise TooManyAttempts("This device sends output of too many tasks at once.", retry_after_s=1)
        posting[device_id] += 1
        try:
            async with turn:
                frames = await _frames(request)
                source_ip = request.client.host if request.client else "unknown"
                return {"next_seq": await store(device_id, task_id, frames, source_ip)}
        finally:
            posting[device_id] -= 1
            if not posting[device_id]:
                del posting[device_id]

    @routes.get("/scripts/{sha256}", response_model=None)
    async def get_script(
        sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")], device_id: Annotated[int, Depends(access)]
    ) -> Any:
        return Response(await access.script(device_id, sha256), media_type="application/octet-stream")

    return routes


async def _frames(request: Request) -> list[Frame]:
    try:
        return list(islice(decode(await request.body()), FRAMES_MAX))
    except InvalidPayload as error:
        raise InvalidInput(str(error)) from None
