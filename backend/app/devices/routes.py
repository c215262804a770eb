"""The routes about devices, claims, enrolment and counts. Each parses, calls one service, and serialises."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Response

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.devices.claims import Answer, ClaimService
from app.devices.enrollment import EnrollmentService, NewEnrollmentToken
from app.devices.models import EnrollmentToken
from app.devices.policies import DevicePolicy
from app.devices.repository import Filter
from app.devices.schemas import (
    Acceptance,
    Counts,
    DeviceChange,
    EnrollmentTokenDetail,
    EnrollmentTokenInput,
    EnrollmentTokenPage,
    EnrollmentTokenView,
    NewEnrollmentTokenView,
    OnlineOverTime,
    StatusEventPage,
)
from app.devices.service import Change, DeviceService
from app.devices.statistics import StatisticsService, Window
from app.errors import InvalidInput
from app.groups.selectors import TEXT_MAX
from app.routing import Router, joined
from app.wire import model_of, page_of, plain
from deployx_protocol.messages import ClaimView, DeviceView
from deployx_protocol.states import Presence, Trust

DeviceId = Annotated[int, Path(ge=1, le=2**31 - 1)]
ClaimId = Annotated[int, Path(ge=1, le=2**31 - 1)]
TokenId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str, Query(max_length=1000)]
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
_PAGES = (
    "A device whose place in the order changes while you turn the pages, as that by `status` or `last_seen` does all "
    "the time, may come twice or not at all. Sort by `created_at`, which never changes, to read each device once."
)


def router(
    auth: Auth,
    devices: DeviceService,
    claims: ClaimService,
    enrollment: EnrollmentService,
    statistics: StatisticsService,
) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(
        _device_routes(auth, devices),
        _admission_routes(auth, devices, claims),
        _enrollment_routes(auth, enrollment),
        _count_routes(auth, statistics),
    )


def _device_routes(auth: Auth, service: DeviceService) -> Router:
    routes = Router(prefix="/api/v1/devices", tags=["devices"])
    reader = Depends(auth.requires(Permission.DEVICES_READ))
    writer = Depends(auth.requires(Permission.DEVICES_WRITE))

    @routes.get("", summary="List devices, a page at a time", description=_PAGES, response_model=page_of(DeviceView))
    async def list_devices(
        *,
        principal: Principal = reader,
        limit: Limit = 100,
        cursor: Cursor | None = None,
        q: Text | None = None,
        status: Presence | None = None,
        trust: Trust | None = None,
        platform: Text | None = None,
        owner: Text | None = None,
        selector: Annotated[str | None, Query(max_length=TEXT_MAX)] = None,
        sort: Annotated[str, Query(max_length=20)] = "name",
    ) -> dict[str, Any]:
        narrowed = Filter(search=q, status=status, trust=trust, platform=platform, owner=owner)
        views, following = await service.page(
            principal, narrowed, selector=selector, sort=sort, limit=limit, cursor=cursor
        )
        return {"items": [plain(view) for view in views], "next_cursor": following}

    @routes.get("/{device_id}", summary="One device", response_model=model_of(DeviceView))
    async def read_device(*, principal: Principal = reader, device_id: DeviceId, response: Response) -> Any:
        return _tagged(response, await service.get(principal, device_id))

    @routes.get("/{device_id}/policy", summary="What a device lets this server do, as it says")
    async def read_policy(*, principal: Principal = reader, device_id: DeviceId) -> DevicePolicy:
        return await service.policy(principal, device_id)

    @routes.patch("/{device_id}", summary="Rename, tag or hand over a device", response_model=model_of(DeviceView))
    async def change_device(
        *,
        principal: Principal = writer,
        device_id: DeviceId,
        body: DeviceChange,
        response: Response,
        if_match: Annotated[str | None, Header(max_length=40)] = None,
    ) -> Any:
        change = Change(device_name=body.device_name, tags=body.tags, user_id=body.user_id, rev=_rev(if_match))
        return _tagged(response, await service.change(principal, device_id, change))

    @routes.delete("/{device_id}", summary="Delete a device and cut its agent off", status_code=204)
    async def delete_device(*, principal: Principal = writer, device_id: DeviceId) -> None:
        await service.delete(principal, device_id)

    @routes.get("/{device_id}/status-events", summary="What happened to its presence, newest first")
    async def list_status_events(
        *,
        principal: Principal = reader,
        device_id: DeviceId,
        limit: Limit = 100,
        cursor: Annotated[str | None, Query(pattern=r"^\d{1,18}$")] = None,
    ) -> StatusEventPage:
        before_id = int(cursor) if cursor else None
        rows = await service.status_events(principal, device_id, limit=limit, before_id=before_id)
        following = str(rows[-1].id) if len(rows) == limit else None
        items = [{name: getattr(row, name) for name in _STATUS_EVENT} for row in rows]
        return StatusEventPage.model_validate({"items": items, "next_cursor": following})

    return routes


_STATUS_EVENT = ("id", "status", "cause", "detail", "source_ip", "at")


def _admission_routes(auth: Auth, devices: DeviceService, claims: ClaimService) -> Router:
    routes = Router(prefix="/api/v1")
    reader = Depends(auth.requires(Permission.DEVICES_READ))
    admitter = Depends(auth.requires(Permission.DEVICES_ENROLL))
    answered = dict[str, model_of(DeviceView) | None]  # type: ignore[misc,valid-type]  # made at run time
    settled: dict[str, Any] = {"tags": ["claims"], "response_model": answered}

    @routes.post(
        "/devices/{device_id}/accept",
        summary="Trust a pending device",
        response_model=model_of(DeviceView),
        tags=["devices"],
    )
    async def accept_device(*, principal: Principal = admitter, device_id: DeviceId) -> Any:
        return plain(await devices.accept(principal, device_id))

    @routes.post("/devices/{device_id}/reject", summary="Refuse a pending device", status_code=204, tags=["devices"])
    async def reject_device(*, principal: Principal = admitter, device_id: DeviceId) -> None:
        await devices.reject(principal, device_id)

    @routes.get(
        "/claims",
        summary="Identities in conflict, oldest first, a page at a time",
        response_model=page_of(ClaimView),
        tags=["claims"],
    )
    async def list_claims(
        *, principal: Principal = reader, limit: Limit = 100, cursor: Cursor | None = None
    ) -> dict[str, Any]:
        views, following = await devices.claims_page(principal, limit=limit, cursor=cursor)
        return {"items": [plain(view) for view in views], "next_cursor": following}

    @routes.post("/claims/{claim_id}/accept", summary="Admit the claimant", **settled)
    async def accept_claim(
        *, principal: Principal = admitter, claim_id: ClaimId, body: Acceptance | None = None
    ) -> Any:
        merge = body.merge_history if body else False
        view = await claims.answer(principal, claim_id, Answer.ACCEPT, merge_history=merge)
        return {"device": plain(view) if view else None}

    def answer_with(answer: Answer, summary: str) -> None:
        @routes.post(f"/claims/{{claim_id}}/{answer}", summary=summary, name=f"{answer}_claim", **settled)
        async def answer_claim(*, principal: Principal = admitter, claim_id: ClaimId) -> Any:
            view = await claims.answer(principal, claim_id, answer)
            return {"device": plain(view) if view else None}

    answer_with(Answer.REJECT, "Turn the claimant away")
    answer_with(Answer.MOVED, "It is the same machine on other hardware")
    answer_with(Answer.SPLIT, "It is a copy: make it a device of its own")
    return routes


def _enrollment_routes(auth: Auth, service: EnrollmentService) -> Router:
    routes = Router(prefix="/api/v1/enrollment-tokens", tags=["enrollment"])
    admitter = Depends(auth.requires(Permission.DEVICES_ENROLL))

    @routes.post("", summary="Make an enrolment token; it is shown once", status_code=201)
    async def create_token(*, principal: Principal = admitter, body: EnrollmentTokenInput) -> NewEnrollmentTokenView:
        made = await service.create(
            principal.user_id,
            principal.actor,
            name=body.name,
            max_uses=body.max_uses,
            expires_in_s=body.expires_in_s,
            origin=body.origin,
        )
        return _new_token(made)

    @routes.get("", summary="List enrolment tokens, newest first, a page at a time")
    async def list_tokens(
        *,
        principal: Principal = admitter,
        limit: Limit = 100,
        cursor: Cursor | None = None,
        is_open: Annotated[bool | None, Query(alias="open")] = None,
    ) -> EnrollmentTokenPage:
        rows, following = await service.page(principal, limit=limit, cursor=cursor, is_open=is_open)
        return EnrollmentTokenPage(items=[_token(row) for row in rows], next_cursor=following)

    @routes.get("/{token_id}", summary="One enrolment token, and who enrolled with it")
    async def read_token(*, principal: Principal = admitter, token_id: TokenId) -> EnrollmentTokenDetail:
        row, devices = await service.get(principal, token_id)
        enrolled = [{"id": d.id, "device_name": d.device_name, "status": d.status} for d in devices]
        return EnrollmentTokenDetail.model_validate({**_token(row).model_dump(), "devices": enrolled})

    @routes.delete("/{token_id}", summary="Revoke an enrolment token", status_code=204)
    async def revoke_token(*, principal: Principal = admitter, token_id: TokenId) -> None:
        await service.revoke(principal, token_id)

    return routes


def _count_routes(auth: Auth, service: StatisticsService) -> Router:
    routes = Router(prefix="/api/v1/stats", tags=["devices"])
    reader = Depends(auth.requires(Permission.DEVICES_READ))

    @routes.get("", summary="How many devices there are, by status and trust")
    async def read_counts(*, principal: Principal = reader) -> Counts:
        return Counts.model_validate(await service.counts_of(principal))

    @routes.get("/online", summary="How many devices were online over time")
    async def read_online(*, principal: Principal = reader, window: Window = Window.DAY) -> OnlineOverTime:
        step, points = await service.online_of(principal, window)
        return OnlineOverTime(
            step_s=int(step.total_seconds()), start=points[0][0], to=points[-1][0], points=list(points)
        )

    return routes


def _tagged(response: Response, view: DeviceView) -> Any:
    response.headers["etag"] = f'"{view.rev}"'
    return plain(view)


def _rev(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    try:
        return int(if_match.strip().removeprefix("W/").strip('"'))
    except ValueError:
        raise InvalidInput('If-Match has to be the ETag of the device, such as "7".') from None


def _token(row: EnrollmentToken) -> EnrollmentTokenView:
    return EnrollmentTokenView.model_validate({name: getattr(row, name) for name in EnrollmentTokenView.model_fields})


def _new_token(made: NewEnrollmentToken) -> NewEnrollmentTokenView:
    return NewEnrollmentTokenView(**_token(made.row).model_dump(), token=made.token, command=made.command)
