"""The routes of the audit record, for administrators."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator, AwareDatetime
from starlette.responses import StreamingResponse

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.audit.chain import exported
from app.audit.schemas import AuditEntryView, AuditHeadView, AuditPage
from app.audit.service import AuditService, Wanted
from app.routing import Router


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a moment that UTC has, between the years 1 and 9999") from None


_Text = Annotated[str | None, Query(max_length=300, pattern=r"^[^\x00]*$")]
_UtcMoment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
_Moment = Annotated[_UtcMoment | None, Query(description="ISO 8601 with an offset, such as `2026-01-31T00:00:00Z`")]
_LINES = {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}


def router(auth: Auth, service: AuditService) -> Router:
    """All of them, under ``/api/v1``."""
    routes = Router(prefix="/api/v1/audit", tags=["audit"])
    reader = Depends(auth.requires(Permission.AUDIT_READ))

    @routes.get("", summary="What was done, newest first")
    async def list_entries(
        *,
        _principal: Principal = reader,
        wanted: Annotated[Wanted, Depends(_wanted)],
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> AuditPage:
        rows, following = await service.page(wanted, limit=limit, cursor=cursor)
        items = [AuditEntryView.model_validate(exported(row)) for row in rows]
        return AuditPage(items=items, next_cursor=following)

    @routes.get("/head", summary="Where the chain ends")
    async def read_head(*, _principal: Principal = reader) -> AuditHeadView:
        head = await service.head()
        return AuditHeadView(seq=head.seq, hash=head.hash)

    @routes.get(
        "/export",
        summary="Entries as JSON lines, oldest first",
        description="Each line is the text over which its `hash` was made, with `hash` itself put in.",
        response_class=StreamingResponse,
        responses={200: _LINES},
    )
    async def export_entries(
        *,
        principal: Principal = reader,
        wanted: Annotated[Wanted, Depends(_wanted)],
        after_seq: Annotated[int, Query(ge=0, lt=2**53)] = 0,
        limit: Annotated[int | None, Query(ge=1, le=10_000, description="So many at most; by default all.")] = None,
    ) -> StreamingResponse:
        lines = await service.export(principal.actor, wanted, after_seq, limit)
        headers = {"content-disposition": 'attachment; filename="deployx-audit.jsonl"'}
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)

    return routes


def _wanted(
    actor: _Text = None,
    action: Annotated[_Text, Query(description="`run.started`, or `run`: all about runs")] = None,
    object_id: _Text = None,
    since: _Moment = None,
    until: _Moment = None,
) -> Wanted:
    return Wanted(actor, action, object_id, since, until)
