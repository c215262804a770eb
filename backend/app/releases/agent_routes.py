"""HTTP for agents: the payloads of releases. None of it is for people or their tokens.

A payload is named by its hash, so that what an agent has once it need not ask for again.
"""

from typing import Annotated, Any

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from app.releases.access import ReleaseAccess
from app.routing import Router
from app.tasks.agent_access import AgentAccess


def router(speaker: AgentAccess, access: ReleaseAccess) -> Router:
    """``/api/agent/v1/releases``."""
    routes = Router(prefix="/api/agent/v1", include_in_schema=False)

    @routes.get("/releases/{sha256}", response_model=None)
    async def get_release(
        request: Request,
        sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
        device_id: Annotated[int, Depends(speaker)],
    ) -> Any:
        payload = await access.payload(device_id, sha256)
        headers = {"ETag": f'"{sha256}"', "Cache-Control": "private, immutable"}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(payload, media_type="application/octet-stream", headers=headers)

    return routes
