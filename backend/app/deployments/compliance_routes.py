"""The route about which devices have a release."""

from typing import Annotated

from fastapi import Depends, Query

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.accounts.schemas import Timestamp
from app.deployments.compliance import ComplianceService, Standing
from app.groups.selectors import TEXT_MAX
from app.releases.routes import ReleaseId
from app.routing import Router
from app.tasks.schemas import Described

Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


class DeviceStandingView(Described):
    """How a device stands to the release."""

    device_id: int
    device_name: str
    standing: Standing
    has: str
    """The version that is there; empty where there is none, or nobody can say."""
    why: str
    """How that is known, or why it is not."""
    since: Timestamp | None
    """When it was last known; null: never."""


class StandingCounts(Described):
    """How many devices are in each standing."""

    exact: int = 0
    older: int = 0
    newer: int = 0
    missing: int = 0
    """There is none of this name, as far as deployments and lists of packages say."""
    unknown: int = 0
    unfit: int = 0
    """The release is not for their platforms."""


class ReleaseCompliance(Described):
    """Which of your devices have a release, by name; the last page's cursor is null."""

    id: str
    name: str
    version: str
    number: int
    total: int
    """Devices that are counted: all that you see, or those that `selector` means."""
    counts: StandingCounts
    items: list[DeviceStandingView]
    next_cursor: str | None


def router(auth: Auth, service: ComplianceService) -> Router:
    """It alone, under ``/api/v1``."""
    routes = Router(prefix="/api/v1/releases", tags=["releases"])
    reader = Depends(auth.requires(Permission.DEPLOYMENTS_READ))

    @routes.get(
        "/{release_id}/compliance",
        summary="Which devices have a release, an older or a newer one, or none, by name, a page at a time",
        description="By what deployments did there, and for a release that is a package by the lists of packages that "
        "agents report, whichever is the younger. `standing` and `q` narrow what is listed, not what is counted.",
    )
    async def read_compliance(
        *,
        principal: Principal = reader,
        release_id: ReleaseId,
        standing: Annotated[list[Standing] | None, Query(max_length=len(Standing))] = None,
        selector: Annotated[str | None, Query(max_length=TEXT_MAX, pattern=r"^[^\x00]*$")] = None,
        q: Annotated[Text, Query(description="Part of the device's name")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(max_length=1_000)] = None,
    ) -> ReleaseCompliance:
        found = await service.page(
            principal, release_id, standings=standing or (), selector=selector, search=q, limit=limit, cursor=cursor
        )
        manifest = found.release.manifest
        return ReleaseCompliance(
            id=found.release.id,
            name=manifest.name,
            version=manifest.version,
            number=manifest.number,
            total=sum(found.counts.values()),
            counts=StandingCounts(**{one.value: count for one, count in found.counts.items()}),
            items=[DeviceStandingView.model_validate(one, from_attributes=True) for one in found.devices],
            next_cursor=found.next_cursor,
        )

    return routes
