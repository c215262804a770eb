"""What is forgotten about devices, and when. One rule for each table that grows with use.

| Table | Kept | Always kept |
|---|---|---|
| status_events | DEPLOYX_STATUS_RETENTION_DAYS after the change | |
| claims | DEPLOYX_CLAIM_RETENTION_DAYS after the answer | what waits for an answer, or for the copy to hear it |
| enrollment_tokens | DEPLOYX_ENROLLMENT_TOKEN_RETENTION_DAYS after expiry or revocation | what admits a machine |
| refused_keys | the newest DEPLOYX_REFUSED_KEYS_MAX | |
| devices nobody accepted | DEPLOYX_PENDING_DEVICE_RETENTION_DAYS after they were last seen | what is online or owned |

A token that is used up counts from its expiry. The devices and claims it admitted stay, and only forget its name.

A refused key has no age at which it may return, so refusals are bounded by their number alone. Forgetting the oldest
lets nobody in: where tokens are asked for the key still has none, and where approval is asked for its machine waits
for a person again. So does a machine that returns after it was forgotten.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from app.clock import Clock, utcnow
from app.db import Database
from app.devices.models import Claim, Device, EnrollmentToken, RefusedKey, StatusEvent
from app.devices.repository import WAITING
from app.devices.service import remove
from app.pruning import BATCH, delete_where
from app.settings import Settings
from app.uow import UnitOfWork
from deployx_protocol.states import DeviceStatus

log = structlog.get_logger()


class RetentionService:
    """Keeps the tables of devices within what ``settings`` allow."""

    def __init__(self, uow: UnitOfWork, db: Database, settings: Settings, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._settings = settings
        self._clock = clock

    async def prune(self) -> None:
        """Delete what every rule says. Raises Unavailable; what was deleted until then stays deleted."""
        now, settings = self._clock(), self._settings
        changed_before = now - timedelta(days=settings.status_retention_days)
        answered_before = now - timedelta(days=settings.claim_retention_days)
        ended_before = now - timedelta(days=settings.enrollment_token_retention_days)
        unseen_since = now - timedelta(days=settings.pending_device_retention_days)
        answered = sa.and_(Claim.state.not_in(("open", "splitting")), Claim.resolved_at < answered_before)
        ended = sa.or_(EnrollmentToken.expires_at < ended_before, EnrollmentToken.revoked_at < ended_before)
        deleted = {
            "status_events": await delete_where(self._db, StatusEvent, StatusEvent.at < changed_before),
            "claims": await delete_where(self._db, Claim, answered),
            "enrollment_tokens": await delete_where(self._db, EnrollmentToken, ended),
            "refused_keys": await self._forget_refusals(settings.refused_keys_max),
            "devices": await self._forget_strangers(unseen_since),
        }
        if any(deleted.values()):
            log.info("devices.pruned", **deleted)

    async def _forget_strangers(self, unseen_since: datetime) -> int:
        """Delete devices that nobody accepted and that were last seen before; dashboards are told of each."""
        gone = sa.func.coalesce(Device.last_seen, Device.created_at) < sa.literal(unseen_since, Device.created_at.type)
        doomed = sa.select(Device).where(WAITING, gone, Device.user_id.is_(None), Device.status == DeviceStatus.OFFLINE)
        batch = doomed.order_by(Device.id).limit(BATCH).with_for_update(skip_locked=True)
        deleted = 0
        while True:
            async with self._uow.begin() as unit:
                devices = list(await unit.session.scalars(batch))
                for device in devices:
                    await remove(unit, device)
            deleted += len(devices)
            if len(devices) < BATCH:
                return deleted

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
