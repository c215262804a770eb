"""HTTP for agents: artifacts come out. What a device may have, and what it asks for, is judged as scripts are."""

from typing import Annotated

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from app.artifacts.access import ArtifactAccess
from app.artifacts.sending import Sender
from app.routing import Guard, Router


def router(agents: Guard, access: ArtifactAccess, sender: Sender) -> Router:
    """``/api/agent/v1/artifacts``. ``agents`` says which device asks."""
    routes = Router(prefix="/api/agent/v1", include_in_schema=False)

    @routes.get("/artifacts/{sha256}", response_model=None)
    async def get_artifact(
        request: Request,
        sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
        device_id: Annotated[int, Depends(agents)],
    ) -> Response:
        return await sender.answer(await access.for_device(device_id, sha256), request)

    return routes
