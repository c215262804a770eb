"""The routes about artifacts and uploads, for people."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.artifacts.schemas import ArtifactPage, ArtifactView, UploadInput, UploadList, UploadView
from app.artifacts.sending import Sender
from app.artifacts.service import ArtifactService
from app.artifacts.uploads import Uploads
from app.errors import InvalidInput
from app.routing import Router

Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
UploadId = Annotated[str, Path(pattern="^[0-9a-f-]{36}$")]
Offset = Annotated[int, Header(ge=0, lt=2**63, alias="Upload-Offset")]
_BYTES: dict[str, Any] = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_UNCHANGED = {"description": "What `If-None-Match` names is what there is"}
_ELSEWHERE = {"description": "They are in the object store"}
_PIECE: dict[str, Any] = {"requestBody": {"required": True, **_BYTES}}


def router(auth: Auth, service: ArtifactService, uploads: Uploads, sender: Sender) -> Router:
    """All of them."""
    routes = Router(prefix="/api/v1/artifacts", tags=["artifacts"])
    reader = Depends(auth.requires(Permission.RELEASES_READ))
    writer = Depends(auth.requires(Permission.RELEASES_WRITE))

    @routes.get("", summary="Artifacts, the newest first")
    async def list_artifacts(
        *,
        _principal: Principal = reader,
        unused: bool = False,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> ArtifactPage:
        return await service.page(limit=limit, cursor=cursor, unused=unused)

    @routes.get("/uploads", summary="Your uploads that are under way")
    async def list_uploads(*, principal: Principal = writer) -> UploadList:
        return await uploads.mine(principal)

    @routes.post(
        "/uploads",
        summary="Announce a file; answers 200 when it is there already, or on its way",
        status_code=201,
        responses={200: {"model": UploadView, "description": "It need not be begun"}},
    )
    async def begin_upload(*, principal: Principal = writer, body: UploadInput, response: Response) -> UploadView:
        view, is_new = await uploads.begin(principal, body)
        response.status_code = 201 if is_new else 200
        return view

    @routes.get("/uploads/{upload_id}", summary="How far an upload is")
    async def read_upload(*, principal: Principal = writer, upload_id: UploadId) -> UploadView:
        return await uploads.look(principal, upload_id)

    @routes.patch(
        "/uploads/{upload_id}",
        summary="Send the next piece; the last one makes the artifact",
        description="The body is bytes, at most `piece_max_bytes` of them, from `Upload-Offset` on. What came before a "
        "connection broke is kept: ask for the offset, and go on from there.",
        openapi_extra=_PIECE,
    )
    async def send_piece(
        *, request: Request, principal: Principal = writer, upload_id: UploadId, offset: Offset = 0
    ) -> UploadView:
        declared = request.headers.get("content-length", "")
        length = int(declared) if declared.isdecimal() and len(declared) < 19 else None
        try:
            return await uploads.receive(principal, upload_id, offset, length, request.stream())
        except ClientDisconnect:  # nobody hears this; what came is kept
            raise InvalidInput("The connection ended before the piece did.", code="cut_off") from None

    @routes.delete("/uploads/{upload_id}", summary="Forget an upload", status_code=204)
    async def delete_upload(*, principal: Principal = writer, upload_id: UploadId) -> None:
        await uploads.drop(principal, upload_id)

    @routes.get("/{sha256}", summary="One artifact")
    async def read_artifact(*, _principal: Principal = reader, sha256: Sha256) -> ArtifactView:
        return await service.get(sha256)

    @routes.delete("/{sha256}", summary="Delete an artifact that no release uses", status_code=204)
    async def delete_artifact(*, principal: Principal = writer, sha256: Sha256) -> None:
        await service.delete(principal, sha256)

    async def read_content(*, request: Request, _principal: Principal = reader, sha256: Sha256) -> Response:
        return await sender.answer(await service.row(sha256), request)

    for method in ("GET", "HEAD"):
        routes.add_api_route(
            "/{sha256}/content",
            read_content,
            methods=[method],
            name=f"{method.lower()}_artifact_content",
            summary="Its bytes, or a range of them",
            response_class=Response,
            responses={200: _BYTES, 206: _BYTES, 304: _UNCHANGED, 307: _ELSEWHERE},
            include_in_schema=method == "GET",
        )
    return routes
