"""What the lists of packages that agents report say of a package that a release installs, or removes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import among
from app.software.models import DEVICE_SOFTWARE, Inventory, Software
from app.software.versions import compare
from deployx_protocol.releases import Package, PackageState
from deployx_protocol.software import Source

MANAGERS = (Source.DPKG, Source.RPM)
"""Whose packages a release can install."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A device's list. ``standing``: exact, older, newer or missing; empty where the list cannot tell."""

    confirmed_at: datetime
    standing: str
    versions: str
    """Of the package, as they are installed; several where several are."""


async def listed(session: AsyncSession, package: Package) -> dict[int, Listed]:
    """Device id → what its list says, of the devices that have reported one of these managers."""
    query = sa.select(Software.id, Software.version, Software.source).where(Software.name == package.name)
    rows = {row.id: row for row in await session.execute(query.where(Software.source.in_([*MANAGERS])))}
    having: dict[int, list[Any]] = {}
    pairs = sa.select(DEVICE_SOFTWARE.c.device_id, DEVICE_SOFTWARE.c.software_id).where(
        among(DEVICE_SOFTWARE.c.software_id, "ids")
    )
    for device_id, software_id in await session.execute(pairs, {"ids": sorted(rows)}):
        having.setdefault(device_id, []).append(rows[software_id])
    lists = await session.execute(sa.select(Inventory.device_id, Inventory.confirmed_at, Inventory.sources))
    found: dict[int, Listed] = {}
    for device_id, confirmed_at, sources in lists:
        if any(one in sources for one in MANAGERS):
            installed = having.get(device_id, [])
            versions = ", ".join(sorted({row.version for row in installed}))
            found[device_id] = Listed(confirmed_at, _standing(package, installed), versions)
    return found


def _standing(package: Package, installed: Sequence[Any]) -> str:
    match package.state:
        case PackageState.LATEST:  # only the machine's repositories know what that is
            return "" if installed else "missing"
        case PackageState.ABSENT:
            return "missing" if installed else "exact"
        case PackageState.PRESENT:
            return "exact" if installed else "missing"
    orders = [compare(Source(row.source), row.version, package.version) for row in installed]
    if not orders:
        return "missing"
    if 0 in orders:
        return "exact"
    return "newer" if max(orders) > 0 else "older"
