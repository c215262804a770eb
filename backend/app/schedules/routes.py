"""The routes about schedules. Each parses, calls one service function, and serialises."""

import asyncio
from typing import Annotated

from fastapi import Depends, Header, Path, Query, Response
from pydantic import AwareDatetime

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.errors import InvalidInput
from app.routing import Router
from app.schedules.schemas import (
    Calendar,
    FiringPage,
    FiringView,
    NextTimes,
    ScheduleInput,
    SchedulePage,
    ScheduleView,
    When,
)
from app.schedules.service import NEXT_MAX, ScheduleService
from app.schedules.views import firing_view

ScheduleId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=200)]
Count = Annotated[int, Query(ge=1, le=NEXT_MAX)]


def router(auth: Auth, service: ScheduleService) -> Router:
    """All of them."""
    routes = Router(prefix="/api/v1/schedules", tags=["schedules"])
    reader = Depends(auth.requires(Permission.SCHEDULES_READ))
    writer = Depends(auth.requires(Permission.SCHEDULES_WRITE))

    @routes.get("", summary="Schedules by name, a page at a time: yours; an administrator's list has everyone's")
    async def list_schedules(
        *, principal: Principal = reader, limit: Limit = 100, cursor: Cursor = None
    ) -> SchedulePage:
        items, following = await service.page(principal, limit=limit, cursor=cursor)
        return SchedulePage(items=items, next_cursor=following)

    @routes.post("", summary="Make a schedule", status_code=201)
    async def create_schedule(*, principal: Principal = writer, body: ScheduleInput) -> ScheduleView:
        return await service.create(principal, body)

    @routes.post("/preview", summary="The next times of a schedule that is not saved yet")
    async def preview_schedule(*, principal: Principal = reader, body: When, count: Count = 10) -> NextTimes:
        del principal
        return await asyncio.to_thread(service.preview, body, count)

    @routes.get(
        "/calendar",
        summary="What is to come, by schedule",
        description="At most 62 days, and 300 times of each schedule; `more` says that there are more.",
    )
    async def read_calendar(
        *,
        principal: Principal = reader,
        start: Annotated[AwareDatetime, Query()],
        end: Annotated[AwareDatetime, Query()],
    ) -> Calendar:
        return Calendar(items=await service.calendar(principal, start, end))

    @routes.get("/{schedule_id}", summary="One schedule")
    async def read_schedule(
        *, principal: Principal = reader, schedule_id: ScheduleId, response: Response
    ) -> ScheduleView:
        return _tagged(response, await service.get(principal, schedule_id))

    @routes.put(
        "/{schedule_id}",
        summary="Change a schedule, whole; with If-Match, only as it was read",
        description="Only its owner may, since it acts in their name.",
    )
    async def change_schedule(
        *,
        principal: Principal = writer,
        schedule_id: ScheduleId,
        body: ScheduleInput,
        response: Response,
        if_match: Annotated[str | None, Header(max_length=40)] = None,
    ) -> ScheduleView:
        return _tagged(response, await service.change(principal, schedule_id, body, _rev(if_match)))

    @routes.delete("/{schedule_id}", summary="Delete a schedule; what it started stays", status_code=204)
    async def delete_schedule(*, principal: Principal = writer, schedule_id: ScheduleId) -> None:
        await service.delete(principal, schedule_id)

    @routes.post("/{schedule_id}/pause", summary="Let none of its times come due until it is resumed")
    async def pause_schedule(*, principal: Principal = writer, schedule_id: ScheduleId) -> ScheduleView:
        return await service.pause(principal, schedule_id)

    @routes.post("/{schedule_id}/resume", summary="Go on with its next time; those that passed are not made up for")
    async def resume_schedule(*, principal: Principal = writer, schedule_id: ScheduleId) -> ScheduleView:
        return await service.resume(principal, schedule_id)

    @routes.post(
        "/{schedule_id}/start",
        summary="Start what it does now; its times stay as they are",
        description="Only its owner may, since it acts in their name.",
        status_code=201,
    )
    async def start_schedule(
        *,
        principal: Principal = writer,
        schedule_id: ScheduleId,
        key: Annotated[str | None, Header(alias="Idempotency-Key", description="The same key starts it once.")] = None,
    ) -> FiringView:
        return firing_view(await service.start_now(principal, schedule_id, key))

    @routes.get("/{schedule_id}/next", summary="Its next times; none while it is paused")
    async def next_times(*, principal: Principal = reader, schedule_id: ScheduleId, count: Count = 10) -> NextTimes:
        return await service.next_times(principal, schedule_id, count)

    @routes.get("/{schedule_id}/firings", summary="What came of its times, the latest first, a page at a time")
    async def list_firings(
        *, principal: Principal = reader, schedule_id: ScheduleId, limit: Limit = 50, cursor: Cursor = None
    ) -> FiringPage:
        rows, following = await service.history(principal, schedule_id, limit=limit, cursor=cursor)
        return FiringPage(items=[firing_view(row) for row in rows], next_cursor=following)

    return routes


def _tagged(response: Response, view: ScheduleView) -> ScheduleView:
    response.headers["etag"] = f'"{view.rev}"'
    return view


def _rev(if_match: str | None) -> int | None:
    if if_match is None or if_match == "*":
        return None
    try:
        return int(if_match.strip().removeprefix("W/").strip('"'))
    except ValueError:
        raise InvalidInput('If-Match has to be the ETag of the schedule, such as "7".') from None
