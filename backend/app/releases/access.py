"""What devices may fetch: releases that their tasks name, those that these go back to, and what they bring along.

Invariant: what a request names is answered within that device's own tasks, while it may be given work, and otherwise
as if it did not exist.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.artifacts.models import ArtifactUse
from app.db import Database
from app.devices.models import Device
from app.errors import NotFound
from app.releases.models import Release
from app.tasks.models import Run, Task
from deployx_protocol.states import Trust


class ReleaseAccess:
    """The payloads that agents may read."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def payload(self, device_id: int, sha256: str) -> bytes:
        """The payload. Raises NotFound, also for one that is none of the device's business."""
        query = sa.select(Release.payload).where(Release.sha256 == sha256, Release.sha256.in_(_named(device_id)))
        async with self._db.read() as session:
            payload: bytes | None = await session.scalar(query)
        if payload is None:
            raise NotFound("There is no such release for this device.")
        return payload


async def may_fetch(session: AsyncSession, device_id: int, sha256: str) -> bool:
    """Whether a device may have the artifact of this SHA-256."""
    used = sa.exists().where(ArtifactUse.sha256 == sha256, ArtifactUse.release.in_(_named(device_id)))
    return bool(await session.scalar(sa.select(used)))


def _named(device_id: int) -> sa.CompoundSelect[tuple[str]]:
    """The payloads that tasks of the device name, and those that these go back to."""
    theirs = (
        sa.select(Run.release_sha256)
        .join(Task, Task.run_id == Run.id)
        .join(Device, Device.id == Task.device_id)
        .where(Device.id == device_id, Device.trust == Trust.TRUSTED, Run.release_sha256.is_not(None))
    )
    later = aliased(Release)
    before = sa.select(later.previous_sha256).where(later.previous_sha256.is_not(None), later.sha256.in_(theirs))
    return sa.union(theirs, before)
