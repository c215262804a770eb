"""The routes about software: people look, agents report."""

from typing import Annotated

from fastapi import Depends, Path, Query
from starlette.requests import Request

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.routing import Router
from app.software.intake import Intake
from app.software.query import TEXT_MAX
from app.software.schemas import DeviceSoftwarePage, DeviceWithSoftwarePage, SoftwarePage
from app.software.service import SoftwareService
from app.tasks.agent_access import AgentAccess

Text = Annotated[str, Query(max_length=TEXT_MAX, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=500)]
_QUERY = (
    "`q` is a name, in which `*` stands for any characters, and what its version is compared with: `openssl<3.0.13`, "
    '`nginx>=1.22,<1.24`, `"Google Chrome"<120`. Versions are compared by the rules of the system that installed the '
    "package; an epoch or a revision that `q` does not name is not compared."
)


def router(auth: Auth, service: SoftwareService) -> Router:
    """For people."""
    routes = Router(prefix="/api/v1", tags=["software"])
    reader = Depends(auth.requires(Permission.SOFTWARE_READ))

    @routes.get(
        "/software",
        summary="What is installed on your devices, by name, a page at a time, and on how many",
        description=_QUERY + " Without `q`: everything.",
    )
    async def list_software(
        *, principal: Principal = reader, q: Text = "", limit: Limit = 100, cursor: Cursor = None
    ) -> SoftwarePage:
        return await service.page(principal, q, limit=limit, cursor=cursor)

    @routes.get(
        "/software/devices", summary="Which of your devices have it, by name, a page at a time", description=_QUERY
    )
    async def list_devices_with_software(
        *, principal: Principal = reader, q: Text, limit: Limit = 100, cursor: Cursor = None
    ) -> DeviceWithSoftwarePage:
        return await service.devices(principal, q, limit=limit, cursor=cursor)

    @routes.get(
        "/devices/{device_id}/software",
        summary="What is installed on a device, by name, a page at a time",
        description="`q` is a part of a name.",
    )
    async def list_device_software(
        *,
        principal: Principal = reader,
        device_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
        q: Text = "",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> DeviceSoftwarePage:
        return await service.of_device(principal, device_id, q, limit=limit, cursor=cursor)

    return routes


def agent_router(access: AgentAccess, intake: Intake) -> Router:
    """For agents."""
    routes = Router(prefix="/api/agent/v1", include_in_schema=False)

    @routes.post("/software")
    async def report_software(
        request: Request,
        device_id: Annotated[int, Depends(access)],
        sha256: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$")] = None,
    ) -> dict[str, int | bool]:
        """With ``sha256``: whether a report that is not this one is wanted. Without: a report."""
        if sha256 is not None:
            return {"wanted": not await intake.still_holds(device_id, sha256)}
        return {"packages": await intake.take(device_id, await request.body())}

    return routes
