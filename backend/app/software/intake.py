"""Taking what agents report of their software.

A device's rows are replaced in one transaction, and only by their differences: after the first time that is a handful.
Packages nobody has yet are written before, in a transaction of their own and in the order of their digests, so that two
devices that bring the same ones at once never wait for each other in a circle.

Invariant: a device's rows and its inventory's hash are of one and the same report.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock, utcnow
from app.db import Database, among, insert_new
from app.devices.models import Device
from app.errors import InvalidInput, NotFound, TooManyAttempts
from app.pruning import delete_where
from app.software.models import DEVICE_SOFTWARE, SOFTWARE, DeviceSoftware, Inventory, Software
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.software import Installed, SoftwareReport, judged
from deployx_protocol.states import Trust

PAUSE = timedelta(minutes=5)
"""Between two reports of one device: none changes that often, and each may bring packages that nobody has."""
UNUSED = timedelta(hours=2)
"""How long a package is kept that no device has: longer than what is being written takes."""
_ATTEMPTS = 3
_PIECE = 5_000

log = structlog.get_logger()


class Intake:
    """Stores reports of trusted devices; nobody else is asked for one."""

    def __init__(self, db: Database, clock: Clock = utcnow) -> None:
        self._db = db
        self._clock = clock
        self._turn = asyncio.Semaphore(2)

    async def still_holds(self, device_id: int, sha256: str) -> bool:
        """Note that the report with this hash still holds; False: another is stored, or none, and this one is wanted.

        Raises NotFound for a device that nobody has accepted.
        """
        write = sa.update(Inventory).where(Inventory.device_id == device_id, Inventory.sha256 == sha256)
        async with self._db.write() as session:
            noted = write.values(confirmed_at=self._clock()).returning(Inventory.device_id)
            if await session.scalar(noted) is not None:
                return True
            if await session.scalar(_trusted(device_id)) is None:
                raise _not_accepted()
            return False

    async def take(self, device_id: int, body: bytes) -> int:
        """Store what was posted; how many packages. Raises InvalidInput, NotFound and TooManyAttempts."""
        async with self._turn:
            await self._may_speak(device_id)
            try:
                raw, report = await asyncio.to_thread(judged, body)
            except InvalidPayload as error:
                raise InvalidInput(str(error), code="invalid_report") from None
            digests = await asyncio.to_thread(lambda: {_digest(one): one for one in report.packages})
            for attempt in range(_ATTEMPTS):
                try:
                    ids = await self._known(digests)
                    await self._replace(device_id, hashlib.sha256(raw).hexdigest(), report, ids)
                    break
                except IntegrityError:  # a package that was found, and deleted as one that nobody has
                    if attempt == _ATTEMPTS - 1:
                        raise
        log.info("software.reported", device_id=device_id, packages=len(ids))
        return len(ids)

    async def prune(self) -> None:
        """Forget packages that no device has. Raises Unavailable."""
        before = sa.literal(self._clock() - UNUSED, Software.created_at.type)
        used = sa.exists().where(DeviceSoftware.software_id == Software.id)
        await delete_where(self._db, Software, Software.created_at < before, ~used)

    async def _may_speak(self, device_id: int) -> None:
        now = self._clock()
        async with self._db.read() as session:
            if await session.scalar(_trusted(device_id)) is None:
                raise _not_accepted()
            received = await session.scalar(sa.select(Inventory.received_at).where(Inventory.device_id == device_id))
        if received is not None and timedelta() <= now - received < PAUSE:
            wait_s = (received + PAUSE - now).total_seconds()
            raise TooManyAttempts("This device has just reported its software.", retry_after_s=wait_s)

    async def _known(self, digests: dict[str, Installed]) -> set[int]:
        """The ids of these packages; those that nobody has had are there afterwards."""
        found = await self._ids(list(digests))
        if missing := sorted(digests.keys() - found.keys()):
            now = self._clock()
            rows = [_row(digest, digests[digest], now) for digest in missing]
            async with self._db.write() as session:
                await session.execute(insert_new(session, Software), rows)
            found |= await self._ids(missing)
        return set(found.values())

    async def _ids(self, digests: Sequence[str]) -> dict[str, int]:
        query = sa.select(Software.digest, Software.id).where(among(SOFTWARE.c.digest, "digests"))
        found: dict[str, int] = {}
        async with self._db.read() as session:
            for start in range(0, len(digests), _PIECE):
                rows = await session.execute(query, {"digests": digests[start : start + _PIECE]})
                found.update((digest, software_id) for digest, software_id in rows)
        return found

    async def _replace(self, device_id: int, sha256: str, report: SoftwareReport, ids: set[int]) -> None:
        now = self._clock()
        async with self._db.write() as session:
            if await session.scalar(_trusted(device_id).with_for_update(key_share=True)) is None:
                raise NotFound("This device is not there any more.")
            inventory = await session.get(Inventory, device_id, with_for_update=True)
            if inventory is None:
                inventory = Inventory(device_id=device_id)
                session.add(inventory)
            inventory.sha256, inventory.packages = sha256, len(ids)
            inventory.sources = [source.value for source in report.sources]
            inventory.received_at = inventory.confirmed_at = now
            await session.flush()
            await _exchange(session, device_id, ids)


async def _exchange(session: AsyncSession, device_id: int, ids: set[int]) -> None:
    mine = sa.select(DeviceSoftware.software_id).where(DeviceSoftware.device_id == device_id)
    before = set(await session.scalars(mine))
    if gone := sorted(before - ids):
        named = sa.delete(DeviceSoftware).where(
            DeviceSoftware.device_id == device_id, among(DEVICE_SOFTWARE.c.software_id, "ids")
        )
        await session.execute(named.execution_options(synchronize_session=False), {"ids": gone})
    if new := sorted(ids - before):
        rows = [{"device_id": device_id, "software_id": software_id} for software_id in new]
        await session.execute(sa.insert(DeviceSoftware), rows)


def _trusted(device_id: int) -> sa.Select[int]:
    return sa.select(Device.id).where(Device.id == device_id, Device.trust == Trust.TRUSTED)


def _not_accepted() -> NotFound:
    return NotFound("Nobody has accepted this device, so what is installed on it is not stored.")


def _digest(one: Installed) -> str:
    return hashlib.sha256("\x00".join((one.name, one.version, one.arch, one.source)).encode()).hexdigest()[:32]


def _row(digest: str, one: Installed, now: datetime) -> dict[str, object]:
    return {
        "digest": digest,
        "name": one.name,
        "version": one.version,
        "arch": one.arch,
        "source": one.source.value,
        "created_at": now,
    }
