"""The routes about releases. Each parses, calls one service, and serialises."""

from typing import Annotated

from fastapi import Depends, Path, Query, Response

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.releases.schemas import ReleaseCheck, ReleaseDetail, ReleaseInput, ReleaseList, SignaturesInput
from app.releases.service import ReleaseService
from app.routing import Router

ReleaseId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]
LIMIT_MAX = 100
"""A release may have a quarter of a megabyte."""


def router(auth: Auth, service: ReleaseService) -> Router:
    """All of them, under ``/api/v1``."""
    routes = Router(prefix="/api/v1/releases", tags=["releases"])
    reader = Depends(auth.requires(Permission.RELEASES_READ))
    writer = Depends(auth.requires(Permission.RELEASES_WRITE))

    @routes.get("", summary="List releases, newest first, a page at a time")
    async def list_releases(
        *,
        principal: Principal = reader,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 50,
        cursor: Annotated[str | None, Query(max_length=1_000)] = None,
        name: Text = None,
        version: Text = None,
        q: Annotated[Text, Query(description="Part of the name")] = None,
    ) -> ReleaseList:
        return await service.page(principal, name=name, version=version, search=q, limit=limit, cursor=cursor)

    @routes.post(
        "",
        summary="Keep a release; the same payload is the same release",
        status_code=201,
        responses={200: {"model": ReleaseDetail, "description": "It is there already; new signatures were added"}},
    )
    async def create_release(*, principal: Principal = writer, body: ReleaseInput, response: Response) -> ReleaseDetail:
        detail, new = await service.create(principal, body)
        response.status_code = 201 if new else 200
        return detail

    @routes.post("/check", summary="What would become of a release, and which artifacts it lacks")
    async def check_release(*, principal: Principal = writer, body: ReleaseInput) -> ReleaseCheck:
        return await service.check(principal, body)

    @routes.get("/{release_id}", summary="One release: what it says, who signed it, what deploys it")
    async def read_release(*, principal: Principal = reader, release_id: ReleaseId) -> ReleaseDetail:
        return await service.get(principal, release_id)

    @routes.post(
        "/{release_id}/signatures",
        summary="Add signatures to a release",
        description="The server refuses what cannot be a signature, and a bad one of a key that it knows from a "
        "device's policy. It cannot vouch for any: each device checks them against its own policy.",
    )
    async def sign_release(
        *, principal: Principal = writer, release_id: ReleaseId, body: SignaturesInput
    ) -> ReleaseDetail:
        return await service.sign(principal, release_id, body.signatures)

    @routes.delete("/{release_id}", summary="Delete a release that was never deployed", status_code=204)
    async def delete_release(*, principal: Principal = writer, release_id: ReleaseId) -> None:
        await service.delete(principal, release_id)

    return routes
