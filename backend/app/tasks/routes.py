"""The routes about work. Each parses, calls one service, and serialises."""

from collections.abc import Callable, Collection
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Path, Query
from starlette.responses import StreamingResponse

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.audit.actions import Action
from app.audit.service import AuditService
from app.db import Database
from app.devices.service import DeviceService
from app.routing import Router, joined
from app.tasks import saved_routes, task_routes
from app.tasks.archive import Archive
from app.tasks.cancelling import Cancelling
from app.tasks.following import RunFollower
from app.tasks.news import TaskNews
from app.tasks.output import OutputReader
from app.tasks.reading import WorkReader
from app.tasks.runs import RunService, Started
from app.tasks.runs_repository import RunFilter, TaskFilter
from app.tasks.saved import SavedCommands
from app.tasks.schemas import (
    LISTED_MAX,
    RUN_DETAIL,
    RUN_STARTED,
    OutputGroupList,
    Retry,
    RunPreview,
    RunRequest,
)
from app.uow import UnitOfWork
from app.wire import model_of, page_of, plain
from deployx_protocol.task_messages import RunView, TaskView
from deployx_protocol.tasks import TaskState

RunId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=1000)]
Limit = Annotated[int, Query(ge=1, le=500)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same request gives the same run; with another request it is refused.",
    ),
]


class Work:
    """The services behind these routes, made once and joined here."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        devices: DeviceService,
        live_nodes: Callable[[], Collection[str]],
        default_quota_bytes: int,
        audit: AuditService,
        confirm_above: int,
    ) -> None:
        self.audit = audit
        self.news = TaskNews()
        self.runs = RunService(uow, db, live_nodes, default_quota_bytes, confirm_above=confirm_above)
        self.reader = WorkReader(db, devices, live_nodes)
        self.follower = RunFollower(self.reader, self.news)
        self.cancelling = Cancelling(uow)
        self.output = OutputReader(db, self.news, audit.note)
        self.archive = Archive(db, self.output)
        self.saved = SavedCommands(uow, db)


def router(auth: Auth, work: Work) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(
        _run_routes(auth, work),
        _repeat_routes(auth, work),
        task_routes.router(auth, work.reader, work.cancelling, work.output),
        saved_routes.router(auth, work.saved),
    )


def _run_routes(auth: Auth, work: Work) -> Router:
    routes = Router(prefix="/api/v1/runs", tags=["runs"])
    reader = Depends(auth.requires(Permission.RUNS_READ))

    @routes.get("", summary="List runs, newest first, a page at a time", response_model=page_of(RunView))
    async def list_runs(
        *,
        principal: Principal = reader,
        limit: Limit = 50,
        cursor: Cursor = None,
        state: Literal["active", "finished", "failed"] | None = None,
        q: Text | None = None,
        by: Annotated[Text | None, Query(description="The e-mail address of who started it")] = None,
    ) -> dict[str, Any]:
        narrowed = RunFilter(state=state, search=q, by=by)
        views, following = await work.reader.runs(principal, narrowed, limit=limit, cursor=cursor)
        return {"items": [plain(view) for view in views], "next_cursor": following}

    @routes.get(
        "/{run_id}",
        summary="One run, and what was asked for; waits for a change if asked to",
        description="With `wait_s` it answers as soon as `rev` is greater than `after_rev`, the run is over, a task of "
        "it printed something, or the time is over.",
        response_model=RUN_DETAIL,
    )
    async def read_run(
        *,
        principal: Principal = reader,
        run_id: RunId,
        after_rev: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        wait_s: Annotated[float, Query(ge=0, le=task_routes.WAIT_MAX_S, allow_inf_nan=False)] = 0.0,
    ) -> dict[str, Any]:
        view, request = await work.follower.detail(principal, run_id, after_rev=after_rev, wait_s=wait_s)
        return {**plain(view), **request}

    @routes.get(
        "/{run_id}/tasks", summary="A run's tasks, by the names of their devices", response_model=page_of(TaskView)
    )
    async def list_tasks(
        *,
        principal: Principal = reader,
        run_id: RunId,
        limit: Limit = 100,
        cursor: Cursor = None,
        state: Annotated[list[TaskState] | None, Query(max_length=len(TaskState))] = None,
        digest: Text | None = None,
        q: Text | None = None,
    ) -> dict[str, Any]:
        narrowed = TaskFilter(states=state or (), digest=digest, search=q)
        views, following = await work.reader.tasks(principal, run_id, narrowed, limit=limit, cursor=cursor)
        return {"items": [plain(view) for view in views], "next_cursor": following}

    @routes.get("/{run_id}/outputs", summary="Which tasks ended alike and printed the same")
    async def list_outputs(*, principal: Principal = reader, run_id: RunId) -> OutputGroupList:
        return await work.reader.output_groups(principal, run_id)

    @routes.get(
        "/{run_id}/output.zip",
        summary="All output of a run",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def read_archive(*, principal: Principal = reader, run_id: RunId) -> StreamingResponse:
        run = await work.reader.run(principal, run_id)
        await work.audit.note(principal.actor, Action.OUTPUT_DOWNLOADED, run.id)
        headers = {"content-disposition": f'attachment; filename="run-{run.id}.zip"'}
        return StreamingResponse(work.archive.of_run(principal, run.id), media_type="application/zip", headers=headers)

    return routes


def _repeat_routes(auth: Auth, work: Work) -> Router:
    routes = Router(prefix="/api/v1/runs", tags=["runs"])
    writer = Depends(auth.requires(Permission.RUNS_WRITE))
    started: dict[str, Any] = {"status_code": 202, "response_model": RUN_STARTED}

    @routes.post("/preview", summary="Whom a run would reach; what to run may be left out")
    async def preview_run(*, principal: Principal = writer, body: RunRequest) -> RunPreview:
        return await work.runs.preview(principal, body)

    @routes.post("", summary="Start a run; it is saved when this answers", **started)
    async def start_run(*, principal: Principal = writer, body: RunRequest, key: Key = None) -> dict[str, Any]:
        return _started(await work.runs.start(principal, body, key))

    @routes.post("/{run_id}/retry", summary="Repeat a run where its tasks ended so", **started)
    async def retry_run(
        *, principal: Principal = writer, run_id: RunId, body: Retry | None = None, key: Key = None
    ) -> dict[str, Any]:
        return _started(await work.runs.retry(principal, run_id, (body or Retry()).states, key))

    @routes.post(
        "/{run_id}/cancel", summary="Call off what is not over", status_code=202, response_model=model_of(RunView)
    )
    async def cancel_run(*, principal: Principal = writer, run_id: RunId) -> Any:
        await work.cancelling.cancel_run(principal, run_id)
        return plain(await work.reader.run(principal, run_id))

    return routes


def _started(made: Started) -> dict[str, Any]:
    listed = [{"id": one.id, "device_name": one.device_name, "why": one.why} for one in made.excluded[:LISTED_MAX]]
    return {
        **plain(made.run),
        "online": made.online,
        "excluded_total": len(made.excluded),
        "excluded": listed,
        "warnings": made.warnings,
    }
