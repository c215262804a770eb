"""The routes about single tasks and their output."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Header, Path, Query, Response
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.routing import Router, joined
from app.tasks import ranges
from app.tasks.archive import file_name
from app.tasks.cancelling import Cancelling
from app.tasks.output import OutputReader
from app.tasks.reading import WorkReader
from app.tasks.schemas import DEVICE_TASK_PAGE, OutputPage
from app.tasks.views import TaskRow, task_view
from app.wire import model_of, plain
from deployx_protocol.task_messages import STDERR, STDOUT, TaskView

TaskId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
DeviceId = Annotated[int, Path(ge=1, le=2**31 - 1)]
WAIT_MAX_S = 20
PAGE_MAX_BYTES = 1 << 20
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


def router(auth: Auth, reader: WorkReader, cancelling: Cancelling, output: OutputReader) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(_task_routes(auth, reader, cancelling), _output_routes(auth, output))


def _task_routes(auth: Auth, service: WorkReader, cancelling: Cancelling) -> Router:
    routes = Router(prefix="/api/v1", tags=["tasks"])
    reader = Depends(auth.requires(Permission.RUNS_READ))
    writer = Depends(auth.requires(Permission.RUNS_WRITE))

    @routes.get("/tasks/{task_id}", summary="One task", response_model=model_of(TaskView))
    async def read_task(*, principal: Principal = reader, task_id: TaskId) -> Any:
        return plain(await service.task(principal, task_id))

    @routes.post(
        "/tasks/{task_id}/cancel", summary="Call one task off", status_code=202, response_model=model_of(TaskView)
    )
    async def cancel_task(*, principal: Principal = writer, task_id: TaskId) -> Any:
        await cancelling.cancel_task(principal, task_id)
        return plain(await service.task(principal, task_id))

    @routes.get(
        "/devices/{device_id}/tasks",
        summary="A device's tasks, newest first: of your runs; if it is your device, of everyone's",
        description="Of a run that somebody else started, the owner of a device is told that, by whom, and how it "
        "ended there; `run_title` is empty and `readable` false, because what it was and what it printed stay with "
        "whoever started it.",
        response_model=DEVICE_TASK_PAGE,
    )
    async def list_device_tasks(
        *,
        principal: Principal = reader,
        device_id: DeviceId,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[str | None, Query(max_length=1000)] = None,
    ) -> dict[str, Any]:
        rows, following = await service.device_tasks(principal, device_id, limit=limit, cursor=cursor)
        items = [_device_task(row, principal) for row in rows]
        return {"items": items, "next_cursor": following}

    return routes


def _device_task(row: TaskRow, principal: Principal) -> dict[str, Any]:
    readable = principal.may(Permission.DEVICES_ALL) or row.started_by_id == principal.user_id
    shown = {"run_title": row.run_title} if readable else {"run_title": "", "digest": ""}
    return {**plain(task_view(row)), **shown, "created_by": row.created_by, "readable": readable}


def _output_routes(auth: Auth, service: OutputReader) -> Router:
    routes = Router(prefix="/api/v1/tasks/{task_id}/output", tags=["tasks"])
    reader = Depends(auth.requires(Permission.RUNS_READ))

    @routes.get(
        "", summary="Output in chunks, both streams in the order in which they came; waits for more if asked to"
    )
    async def read_output(
        *,
        principal: Principal = reader,
        task_id: TaskId,
        from_seq: Annotated[int, Query(ge=0, lt=2**31)] = 0,
        limit_bytes: Annotated[int, Query(ge=1, le=PAGE_MAX_BYTES)] = 262_144,
        wait_s: Annotated[float, Query(ge=0, le=WAIT_MAX_S, allow_inf_nan=False)] = 0.0,
    ) -> OutputPage:
        return await service.page(principal, task_id, from_seq=from_seq, limit_bytes=limit_bytes, wait_s=wait_s)

    def raw(name: str, stream: int) -> None:
        @routes.get(
            f"/{name}",
            name=f"read_{name}",
            summary=f"{name} as the bytes that it is, or a range of them",
            description="`X-Output-Complete` says whether more is expected, `X-Output-Lost-Bytes` how much of both "
            "streams was not kept. A range of a task that still runs may be asked for as of a finished one: what is "
            "there does not change.",
            response_class=StreamingResponse,
            responses={200: _BYTES, 206: _BYTES},
        )
        async def read_raw(
            *,
            principal: Principal = reader,
            task_id: TaskId,
            range_header: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
            if_range: Annotated[str | None, Header(max_length=200)] = None,
        ) -> Response:
            found = await service.raw(principal, task_id, stream)
            headers = {
                "accept-ranges": "bytes",
                "etag": found.etag,
                "x-output-complete": "true" if found.complete else "false",
                "x-output-lost-bytes": str(found.lost_bytes),
                "content-disposition": f"attachment; filename*=UTF-8''{_quoted(found.device_name)}-{name}.txt",
            }
            try:
                wanted = ranges.byte_range(range_header if if_range in (None, found.etag) else None, found.size)
            except ranges.Unsatisfiable:
                text = f"This range begins after the end of what there is, {found.size} bytes."
                raise HTTPException(416, text, {"content-range": f"bytes */{found.size}"}) from None
            start, end = wanted or (0, found.size)
            headers["content-length"] = str(end - start)
            if wanted:
                headers["content-range"] = f"bytes {start}-{end - 1}/{found.size}"
            return StreamingResponse(
                service.pieces(found, start, end),
                status_code=206 if wanted else 200,
                headers=headers,
                media_type="application/octet-stream",
            )

    raw("stdout", STDOUT)
    raw("stderr", STDERR)
    return routes


def _quoted(device_name: str) -> str:
    return quote(file_name(device_name), safe="")
