"""Which artifacts a device may fetch: those of the releases that its tasks name, and of those that these go back to.

Artifacts know nothing of tasks: whoever does says so in ``MayFetch``. Until somebody does, no device may fetch any.
"""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.artifacts import repository
from app.artifacts.models import Artifact
from app.db import Database
from app.errors import NotFound

MayFetch = Callable[[AsyncSession, int, str], Awaitable[bool]]
"""Whether the device of this id, which was authenticated, may have the artifact of this SHA-256 now."""


class ArtifactAccess:
    """What agents may read."""

    def __init__(self, db: Database, may_fetch: MayFetch) -> None:
        self._db = db
        self._may_fetch = may_fetch

    async def for_device(self, device_id: int, sha256: str) -> Artifact:
        """The artifact. Raises NotFound, also for one that is none of the device's business."""
        async with self._db.read() as session:
            found = await repository.artifact(session, sha256)
            if found is None or not await self._may_fetch(session, device_id, sha256):
                raise NotFound("There is no such artifact for this device.")
            return found


async def nothing(_session: AsyncSession, _device_id: int, _sha256: str) -> bool:
    """No device may fetch anything."""
    return False
