"""What is forgotten about devices, and when. One rule for each table that grows with use.

| Table | Kept | Always kept |
|---|---|---|
| status_events | DEPLOYX_STATUS_RETENTION_DAYS after the change | |
| claims | DEPLOYX_CLAIM_RETENTION_DAYS after the answer | what waits for an answer, or for the copy to hear it |
| enrollment_tokens | DEPLOYX_ENROLLMENT_TOKEN_RETENTION_DAYS after expiry or revocation | what admits a machine |
| refused_keys | the newest DEPLOYX_REFUSED_KEYS_MAX | |

A token that is used up counts from its expiry. The devices and claims it admitted stay, and only forget its name.

A refused key has no age at which it may return, so refusals are bounded by their number alone. Forgetting the oldest
lets nobody in: where tokens are asked for the key still has none, and where approval is asked for its machine waits
for a person again.
"""

from datetime import timedelta

import sqlalchemy as sa
import structlog

from app.clock import Clock, utcnow
from app.db import Database
from app.devices.models import Claim, EnrollmentToken, RefusedKey, StatusEvent
from app.pruning import delete_where
from app.settings import Settings

log = structlog.get_logger()


class RetentionService:
    """Keeps the tables of devices within what ``settings`` allow."""

    def __init__(self, db: Database, settings: Settings, clock: Clock = utcnow) -> None:
        self._db = db
        self._settings = settings
        self._clock = clock

    async def prune(self) -> None:
        """Delete what every rule says. Raises Unavailable; what was deleted until then stays deleted."""
        now, settings = self._clock(), self._settings
        changed_before = now - timedelta(days=settings.status_retention_days)
        answered_before = now - timedelta(days=settings.claim_retention_days)
        ended_before = now - timedelta(days=settings.enrollment_token_retention_days)
        answered = sa.and_(Claim.state.not_in(("open", "splitting")), Claim.resolved_at < answered_before)
        ended = sa.or_(EnrollmentToken.expires_at < ended_before, EnrollmentToken.revoked_at < ended_before)
        deleted = {
            "status_events": await delete_where(self._db, StatusEvent, StatusEvent.at < changed_before),
            "claims": await delete_where(self._db, Claim, answered),
            "enrollment_tokens": await delete_where(self._db, EnrollmentToken, ended),
            "refused_keys": await self._forget_refusals(settings.refused_keys_max),
        }
        if any(deleted.values()):
            log.info("devices.pruned", **deleted)

    async def _forget_refusals(self, kept: int) -> int:
        """Delete all but the newest ``kept``."""
        age = (RefusedKey.created_at, RefusedKey.public_key)
        newest_first = sa.select(*age).order_by(*(column.desc() for column in age))
        async with self._db.read() as session:
            first_over = (await session.execute(newest_first.offset(kept).limit(1))).one_or_none()
        if first_over is None:
            return 0
        bound = (sa.literal(value, column.type) for value, column in zip(first_over, age, strict=True))
        deleted = await delete_where(self._db, RefusedKey, sa.tuple_(*age) <= sa.tuple_(*bound))
        log.warning("refused_keys.forgotten", keys=deleted, kept=kept)
        return deleted
