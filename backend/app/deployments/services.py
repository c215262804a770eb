"""What the routes need of deployments, as they call it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from app.accounts.principal import Principal
from app.deployments.schemas import DeploymentPreview, DeploymentRequest
from app.tasks.targets import Excluded
from deployx_protocol.deployments import (
    DecisionView,
    DeploymentState,
    DeploymentTargetView,
    DeploymentView,
    DeviceDeploymentView,
    TargetState,
)


@dataclass(frozen=True, slots=True)
class Created:
    """A deployment that is committed, whom it leaves out, and what one should know of it."""

    id: str
    excluded: list[Excluded]
    warnings: list[str]


class Reader(Protocol):
    """Reading. Everything raises NotFound for what is not the principal's to see."""

    async def page(
        self,
        principal: Principal,
        *,
        states: Collection[DeploymentState],
        name: str | None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[DeploymentView], str | None]:
        """One page of deployments, newest first."""

    async def one(self, principal: Principal, deployment_id: str) -> DeploymentView:
        """One deployment."""

    async def targets(
        self,
        principal: Principal,
        deployment_id: str,
        *,
        states: Collection[TargetState],
        wave: int | None,
        attention: bool | None,
        search: str | None,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[DeploymentTargetView], str | None]:
        """One page of a deployment's devices, in the order of their turns."""

    async def log(
        self, principal: Principal, deployment_id: str, *, limit: int, cursor: str | None
    ) -> tuple[list[DecisionView], str | None]:
        """One page of what was decided, newest first."""

    async def of_device(
        self, principal: Principal, device_id: int, *, limit: int, cursor: str | None
    ) -> tuple[list[DeviceDeploymentView], str | None]:
        """One page of what deployments did on a device, newest first."""


class Starting(Protocol):
    """Previewing and making deployments."""

    async def preview(self, principal: Principal, request: DeploymentRequest) -> DeploymentPreview:
        """What a deployment would reach."""

    async def create(self, principal: Principal, request: DeploymentRequest, key: str | None) -> Created:
        """A deployment, committed."""


class Steering(Protocol):
    """What people do with a deployment. Everything raises IllegalTransition when it does not apply."""

    async def pause(self, principal: Principal, deployment_id: str, note: str) -> None:
        """Start nothing more."""

    async def resume(self, principal: Principal, deployment_id: str, note: str) -> None:
        """Go on."""

    async def abort(self, principal: Principal, deployment_id: str, note: str) -> None:
        """Call it off."""

    async def roll_back(self, principal: Principal, deployment_id: str, note: str) -> None:
        """All that have it go back."""

    async def promote(self, principal: Principal, deployment_id: str, wave: int, note: str) -> None:
        """Open the wave after ``wave``, which is the last that is open."""

    async def retry(self, principal: Principal, deployment_id: str, states: Collection[TargetState], note: str) -> None:
        """Try again where targets are in ``states``."""

    async def approve(self, principal: Principal, deployment_id: str, plan_hash: str, note: str) -> None:
        """Let exactly this plan begin."""

    async def reject(self, principal: Principal, deployment_id: str, plan_hash: str, note: str) -> None:
        """Do not let it begin."""


@dataclass(frozen=True, slots=True)
class Deployments:
    """The services behind the routes."""

    reader: Reader
    starting: Starting
    steering: Steering
