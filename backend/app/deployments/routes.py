"""The routes about deployments. Each parses, calls one service, and serialises."""

from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.deployments.schemas import (
    Decision,
    DeploymentPreview,
    DeploymentRequest,
    Promotion,
    Reason,
    RetryTargets,
)
from app.deployments.services import Deployments
from app.routing import Router, joined
from app.tasks.schemas import LISTED_MAX, ExcludedDevice
from app.wire import model_of, page_of, plain
from deployx_protocol.deployments import (
    DecisionView,
    DeploymentState,
    DeploymentTargetView,
    DeploymentView,
    DeviceDeploymentView,
    TargetState,
)

DeploymentId = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=1_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same request gives the same deployment; with another request it is refused.",
    ),
]
VIEW = model_of(DeploymentView)


class DeploymentCreated(VIEW):  # type: ignore[valid-type, misc]  # made at run time
    """A deployment that was committed, and whom it leaves out (at most 500 are listed)."""

    excluded_total: int
    excluded: list[ExcludedDevice]
    warnings: list[str]


def router(auth: Auth, deployments: Deployments) -> Router:
    """All of them, under ``/api/v1``."""
    return joined(
        _reading(auth, deployments),
        _starting(auth, deployments),
        _steering(auth, deployments),
        _device(auth, deployments),
    )


def _reading(auth: Auth, deployments: Deployments) -> Router:
    routes = Router(prefix="/api/v1/deployments", tags=["deployments"])
    reader = Depends(auth.requires(Permission.DEPLOYMENTS_READ))

    @routes.get("", summary="List deployments, newest first, a page at a time", response_model=page_of(DeploymentView))
    async def list_deployments(
        *,
        principal: Principal = reader,
        limit: Limit = 50,
        cursor: Cursor = None,
        state: Annotated[list[DeploymentState] | None, Query(max_length=len(DeploymentState))] = None,
        name: Annotated[Text | None, Query(description="The name of the release")] = None,
    ) -> dict[str, Any]:
        views, following = await deployments.reader.page(
            principal, states=state or (), name=name, limit=limit, cursor=cursor
        )
        return {"items": [plain(view) for view in views], "next_cursor": following}

    @routes.get("/{deployment_id}", summary="One deployment", response_model=VIEW)
    async def read_deployment(*, principal: Principal = reader, deployment_id: DeploymentId) -> Any:
        return plain(await deployments.reader.one(principal, deployment_id))

    @routes.get(
        "/{deployment_id}/targets",
        summary="A deployment's devices, in the order of their turns",
        response_model=page_of(DeploymentTargetView),
    )
    async def list_targets(
        *,
        principal: Principal = reader,
        deployment_id: DeploymentId,
        limit: Limit = 100,
        cursor: Cursor = None,
        state: Annotated[list[TargetState] | None, Query(max_length=len(TargetState))] = None,
        wave: Annotated[int | None, Query(ge=1, le=1_000)] = None,
        attention: Annotated[bool | None, Query(description="Only those that somebody has to look at")] = None,
        q: Annotated[Text | None, Query(description="Part of the device's name")] = None,
    ) -> dict[str, Any]:
        views, following = await deployments.reader.targets(
            principal,
            deployment_id,
            states=state or (),
            wave=wave,
            attention=attention,
            search=q,
            limit=limit,
            cursor=cursor,
        )
        return {"items": [plain(view) for view in views], "next_cursor": following}

    @routes.get("/{deployment_id}/log", summary="What was decided, newest first", response_model=page_of(DecisionView))
    async def list_decisions(
        *, principal: Principal = reader, deployment_id: DeploymentId, limit: Limit = 100, cursor: Cursor = None
    ) -> dict[str, Any]:
        views, following = await deployments.reader.log(principal, deployment_id, limit=limit, cursor=cursor)
        return {"items": [plain(view) for view in views], "next_cursor": following}

    return routes


def _starting(auth: Auth, deployments: Deployments) -> Router:
    routes = Router(prefix="/api/v1/deployments", tags=["deployments"])
    writer = Depends(auth.requires(Permission.DEPLOYMENTS_WRITE))

    @routes.post("/preview", summary="Whom a deployment would reach, in which wave, and whom not and why")
    async def preview_deployment(*, principal: Principal = writer, body: DeploymentRequest) -> DeploymentPreview:
        return await deployments.starting.preview(principal, body)

    @routes.post(
        "",
        summary="Start a deployment, or have it wait for its approval; it is saved when this answers",
        status_code=202,
        response_model=DeploymentCreated,
    )
    async def create_deployment(
        *, principal: Principal = writer, body: DeploymentRequest, key: Key = None
    ) -> dict[str, Any]:
        created = await deployments.starting.create(principal, body, key)
        listed = [
            {"id": one.id, "device_name": one.device_name, "why": one.why} for one in created.excluded[:LISTED_MAX]
        ]
        view = await deployments.reader.one(principal, created.id)
        return {
            **plain(view),
            "excluded_total": len(created.excluded),
            "excluded": listed,
            "warnings": created.warnings,
        }

    return routes


def _steering(auth: Auth, deployments: Deployments) -> Router:
    routes = Router(prefix="/api/v1/deployments", tags=["deployments"])
    writer = Depends(auth.requires(Permission.DEPLOYMENTS_WRITE))
    approver = Depends(auth.requires(Permission.DEPLOYMENTS_APPROVE))
    steering = deployments.steering
    done: dict[str, Any] = {"status_code": 202, "response_model": VIEW}

    async def _now(principal: Principal, deployment_id: str) -> Any:
        return plain(await deployments.reader.one(principal, deployment_id))

    @routes.post("/{deployment_id}/pause", summary="Start nothing more; what is in flight ends", **done)
    async def pause_deployment(
        *, principal: Principal = writer, deployment_id: DeploymentId, body: Reason | None = None
    ) -> Any:
        await steering.pause(principal, deployment_id, (body or Reason()).note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/resume", summary="Go on; what failed until now is not counted again", **done)
    async def resume_deployment(
        *, principal: Principal = writer, deployment_id: DeploymentId, body: Reason | None = None
    ) -> Any:
        await steering.resume(principal, deployment_id, (body or Reason()).note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/abort", summary="Call it off: what is in flight ends, the rest is left out", **done)
    async def abort_deployment(
        *, principal: Principal = writer, deployment_id: DeploymentId, body: Reason | None = None
    ) -> Any:
        await steering.abort(principal, deployment_id, (body or Reason()).note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/rollback", summary="All devices that have it go back", **done)
    async def roll_back_deployment(
        *, principal: Principal = writer, deployment_id: DeploymentId, body: Reason | None = None
    ) -> Any:
        await steering.roll_back(principal, deployment_id, (body or Reason()).note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/promote", summary="Open the next wave now, whatever the gate says", **done)
    async def promote_deployment(*, principal: Principal = writer, deployment_id: DeploymentId, body: Promotion) -> Any:
        await steering.promote(principal, deployment_id, body.wave, body.note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/retry", summary="Try again where it failed", **done)
    async def retry_deployment(
        *, principal: Principal = writer, deployment_id: DeploymentId, body: RetryTargets | None = None
    ) -> Any:
        asked = body or RetryTargets()
        await steering.retry(principal, deployment_id, asked.states, asked.note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/approve", summary="Let exactly this plan begin", **done)
    async def approve_deployment(
        *, principal: Principal = approver, deployment_id: DeploymentId, body: Decision
    ) -> Any:
        await steering.approve(principal, deployment_id, body.plan_hash, body.note)
        return await _now(principal, deployment_id)

    @routes.post("/{deployment_id}/reject", summary="Do not let this plan begin", **done)
    async def reject_deployment(*, principal: Principal = approver, deployment_id: DeploymentId, body: Decision) -> Any:
        await steering.reject(principal, deployment_id, body.plan_hash, body.note)
        return await _now(principal, deployment_id)

    return routes


def _device(auth: Auth, deployments: Deployments) -> Router:
    routes = Router(prefix="/api/v1/devices", tags=["deployments"])
    reader = Depends(auth.requires(Permission.DEPLOYMENTS_READ))

    @routes.get(
        "/{device_id}/deployments",
        summary="What deployments did on a device, newest first",
        response_model=page_of(DeviceDeploymentView),
    )
    async def list_device_deployments(
        *,
        principal: Principal = reader,
        device_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> dict[str, Any]:
        views, following = await deployments.reader.of_device(principal, device_id, limit=limit, cursor=cursor)
        return {"items": [plain(view) for view in views], "next_cursor": following}

    return routes
