"""Looking for software: what there is, which devices have it, and what one device has.

Invariant: whatever is listed or counted is of devices that whoever asks may see, in the query itself.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app import cursors
from app.accounts.principal import Principal
from app.db import Database, among
from app.devices.models import Device
from app.devices.scope import Scope
from app.errors import InvalidInput, NotFound
from app.groups.scopes import scope_of
from app.groups.sql import like
from app.software.models import DEVICE_SOFTWARE, SOFTWARE, DeviceSoftware, Inventory, Software
from app.software.query import Query, parse
from app.software.schemas import (
    DeviceSoftwarePage,
    DeviceWithSoftware,
    DeviceWithSoftwarePage,
    PackageItem,
    SoftwareItem,
    SoftwarePage,
)
from deployx_protocol.software import Source

CANDIDATES_MAX = 20_000
"""How many versions of packages a query may look at."""
_LIST, _DEVICES, _OF_DEVICE = "software", "software-devices", "device-software"


class SoftwareService:
    """Reads within what a principal may see."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, principal: Principal, text: str, *, limit: int, cursor: str | None) -> SoftwarePage:
        """Packages that match, by name, each with how many devices have it. Raises InvalidInput."""
        query = parse(text) if text.strip() else None
        position = cursors.read(cursor, _LIST, (str, int)) if cursor else None
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            matching = await self._matching(session, query) if query else None
            rows = await _listed(session, scope, matching, position, limit)
            counts = await _device_counts(session, scope, [row.id for row in rows])
            reporting, total = await _reporting(session, scope)
            devices = reporting if matching is None else await _having(session, scope, matching)
        items = [
            SoftwareItem(
                name=row.name, version=row.version, arch=row.arch, source=Source(row.source), devices=counts[row.id]
            )
            for row in rows
        ]
        following = cursors.write(_LIST, (rows[-1].name, rows[-1].id)) if len(rows) == limit else None
        return SoftwarePage(items=items, devices=devices, reporting=reporting, total=total, next_cursor=following)

    async def devices(
        self, principal: Principal, text: str, *, limit: int, cursor: str | None
    ) -> DeviceWithSoftwarePage:
        """Devices that have what ``text`` says, by name. Raises InvalidInput."""
        query = parse(text)
        position = cursors.read(cursor, _DEVICES, (str, int)) if cursor else None
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            matching = {row.id: row for row in await self._matching(session, query)}
            has_one = sa.exists().where(
                DeviceSoftware.device_id == Device.id, among(DEVICE_SOFTWARE.c.software_id, "software_ids")
            )
            wanted = scope.limit(sa.select(Device.id, Device.device_name, Inventory.confirmed_at))
            wanted = wanted.join(Inventory, Inventory.device_id == Device.id).where(has_one)
            if position:
                wanted = wanted.where(sa.tuple_(Device.device_name, Device.id) > sa.tuple_(*position))
            wanted = wanted.order_by(Device.device_name, Device.id).limit(limit)
            rows = list(await session.execute(wanted, {"software_ids": list(matching)}))
            found = await _found(session, [row.id for row in rows], list(matching))
        items = [
            DeviceWithSoftware(
                device_id=row.id,
                device_name=row.device_name,
                found=sorted(_words(matching[software_id]) for software_id in found[row.id]),
                confirmed_at=row.confirmed_at,
            )
            for row in rows
        ]
        following = cursors.write(_DEVICES, (rows[-1].device_name, rows[-1].id)) if len(rows) == limit else None
        return DeviceWithSoftwarePage(items=items, next_cursor=following)

    async def of_device(
        self, principal: Principal, device_id: int, text: str, *, limit: int, cursor: str | None
    ) -> DeviceSoftwarePage:
        """What is installed on a device, by name; ``text`` is a part of a name. Raises NotFound and InvalidInput."""
        position = cursors.read(cursor, _OF_DEVICE, (str, int)) if cursor else None
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            if await session.scalar(scope.limit(sa.select(Device.id)).where(Device.id == device_id)) is None:
                raise NotFound("There is no such device.")
            inventory = await session.get(Inventory, device_id)
            query = sa.select(Software).join(DeviceSoftware, DeviceSoftware.software_id == Software.id)
            query = query.where(DeviceSoftware.device_id == device_id)
            if text.strip():
                part = text.strip()
                alike = sa.func.lower(Software.name).contains(part.lower(), autoescape=True)
                query = query.where(sa.or_(Software.name.contains(part, autoescape=True), alike))
            if position:
                query = query.where(sa.tuple_(Software.name, Software.id) > sa.tuple_(*position))
            rows = list(await session.scalars(query.order_by(Software.name, Software.id).limit(limit)))
        items = [PackageItem.model_validate(row, from_attributes=True) for row in rows]
        following = cursors.write(_OF_DEVICE, (rows[-1].name, rows[-1].id)) if len(rows) == limit else None
        return DeviceSoftwarePage(
            items=items,
            packages=inventory.packages if inventory else 0,
            sources=[Source(one) for one in inventory.sources] if inventory else [],
            received_at=inventory.received_at if inventory else None,
            confirmed_at=inventory.confirmed_at if inventory else None,
            next_cursor=following,
        )

    async def _matching(self, session: AsyncSession, query: Query) -> Sequence[Software]:
        """Rows that match, whoever has them: what is shown of them depends on the scope."""
        named = Software.name == query.exact if query.exact is not None else like(Software.name, query.parts)
        rows = list(await session.scalars(sa.select(Software).where(named).limit(CANDIDATES_MAX + 1)))
        if len(rows) > CANDIDATES_MAX:
            raise InvalidInput("Too many packages match; write more of the name.", code="query_too_wide")
        return [row for row in rows if query.matches(Source(row.source), row.version)]


async def _listed(
    session: AsyncSession, scope: Scope, matching: Sequence[Software] | None, position: list[Any] | None, limit: int
) -> Sequence[Software]:
    has_it = sa.select(DeviceSoftware.device_id).where(DeviceSoftware.software_id == Software.id)
    if scope.user_id is not None:
        has_it = scope.limit(has_it.join(Device, Device.id == DeviceSoftware.device_id))
    rows = sa.select(Software).where(has_it.exists())
    given: dict[str, Any] = {}
    if matching is not None:
        rows, given = rows.where(among(SOFTWARE.c.id, "software_ids")), {"software_ids": [row.id for row in matching]}
    if position:
        rows = rows.where(sa.tuple_(Software.name, Software.id) > sa.tuple_(*position))
    return list(await session.scalars(rows.order_by(Software.name, Software.id).limit(limit), given))


async def _device_counts(session: AsyncSession, scope: Scope, ids: Sequence[int]) -> dict[int, int]:
    counted = sa.select(DeviceSoftware.software_id, sa.func.count()).where(among(DEVICE_SOFTWARE.c.software_id, "ids"))
    if scope.user_id is not None:
        counted = scope.limit(counted.join(Device, Device.id == DeviceSoftware.device_id))
    rows = await session.execute(counted.group_by(DeviceSoftware.software_id), {"ids": list(ids)})
    return defaultdict(int, [(software_id, count) for software_id, count in rows])


async def _having(session: AsyncSession, scope: Scope, matching: Sequence[Software]) -> int:
    has_one = sa.exists().where(DeviceSoftware.device_id == Device.id, among(DEVICE_SOFTWARE.c.software_id, "ids"))
    query = scope.limit(sa.select(sa.func.count()).select_from(Device)).where(has_one)
    return await session.scalar(query, {"ids": [row.id for row in matching]}) or 0


async def _reporting(session: AsyncSession, scope: Scope) -> tuple[int, int]:
    query = sa.select(sa.func.count(Inventory.device_id), sa.func.count()).select_from(Device)
    query = query.outerjoin(Inventory, Inventory.device_id == Device.id)
    reporting, total = (await session.execute(scope.limit(query))).one()
    return reporting, total


async def _found(session: AsyncSession, device_ids: Sequence[int], ids: Sequence[int]) -> dict[int, list[int]]:
    query = sa.select(DeviceSoftware.device_id, DeviceSoftware.software_id).where(
        DeviceSoftware.device_id.in_(device_ids), among(DEVICE_SOFTWARE.c.software_id, "ids")
    )
    found: dict[int, list[int]] = defaultdict(list)
    for device_id, software_id in await session.execute(query, {"ids": list(ids)}):
        found[device_id].append(software_id)
    return found


def _words(row: Software) -> str:
    return f"{row.name} {row.version}" + (f" ({row.arch})" if row.arch else "")
