"""From hints to what dashboards hear: every tick, read the rows that hints named and tell each audience its share.

Invariant: what is sent was read after the commit that caused it, and a row's later state is never sent before an
earlier one, because one task reads and sends. A dashboard is only sent what its user may see.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from app.clock import Clock, iso, utcnow
from app.devices.service import DeviceService
from app.devices.views import status_change
from app.errors import Unavailable
from app.hints import Hint, HintKind
from app.realtime.audiences import Audience, Audiences, Moved
from app.realtime.dashboards import DashboardGateway
from deployx_protocol.messages import DevicesChanged, DeviceView, Removed, Seen

log = structlog.get_logger()

TICK_S = 0.1


@dataclass
class _Dirty:
    """What hints have named since the last tick."""

    status: set[int] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    removed: list[Hint] = field(default_factory=list)
    moved: list[Hint] = field(default_factory=list)
    shares: set[int] = field(default_factory=set)
    claims: bool = False

    def add(self, hint: Hint) -> None:
        match hint.kind:
            case HintKind.DEVICE_STATUS:
                self.status.add(hint.device_id)
            case HintKind.DEVICE_ROW:
                self.rows.add(hint.device_id)
            case HintKind.DEVICES_SEEN:
                self.seen.add(hint.device_id)
            case HintKind.DEVICE_REMOVED:
                self.removed.append(hint)
            case HintKind.DEVICE_MOVED:
                self.moved.append(hint)
            case HintKind.SHARES:
                self.shares.add(hint.user_id)
            case HintKind.CLAIMS:
                self.claims = True


class Publisher:
    """Gathers hints and tells dashboards, until cancelled."""

    def __init__(
        self, devices: DeviceService, audiences: Audiences, dashboards: DashboardGateway, clock: Clock = utcnow
    ) -> None:
        self._devices = devices
        self._audiences = audiences
        self._dashboards = dashboards
        self._clock = clock
        self._dirty = _Dirty()
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def hinted(self, hints: Sequence[Hint]) -> None:
        """Take note."""
        for hint in hints:
            self._dirty.add(hint)
        self._woken.set()
        self._idle.clear()

    async def told(self, deadline_s: float) -> None:
        """Wait until everything that hints have named was sent, ``deadline_s`` at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), deadline_s)

    async def run(self) -> None:
        """Tell, one tick after the other, until cancelled."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(TICK_S)
            self._woken.clear()
            dirty, self._dirty = self._dirty, _Dirty()
            try:
                await self._tell(dirty)
            except Unavailable:
                self._put_back(dirty)
                await asyncio.sleep(1.0)
            if not self._woken.is_set():
                self._idle.set()

    def _put_back(self, dirty: _Dirty) -> None:
        newer, self._dirty = self._dirty, dirty
        dirty.status |= newer.status
        dirty.rows |= newer.rows
        dirty.seen |= newer.seen
        dirty.removed += newer.removed
        dirty.moved += newer.moved
        dirty.shares |= newer.shares
        dirty.claims |= newer.claims
        self._woken.set()

    async def _tell(self, dirty: _Dirty) -> None:
        audiences = self._dashboards.audiences()
        if dirty.status:
            log.info("Broadcasting status change", devices=len(dirty.status), audiences=len(audiences))
        if not audiences:
            return
        if dirty.shares:
            await self._dashboards.show_again(dirty.shares)
            audiences = self._dashboards.audiences()
        views = {view.id: view for view in await self._devices.by_ids(dirty.status | dirty.rows | dirty.seen)}
        changed = {device_id: views[device_id] for device_id in (dirty.status | dirty.rows) & views.keys()}
        at = iso(self._clock())
        for audience in audiences:
            moved = await self._audiences.look(audience, changed)
            seen = [one for one in dirty.seen & views.keys() if _shown(audience, one, views[one].user_id)]
            await self._dashboards.send(audience.user_id, _share(dirty, audience, moved, views, sorted(seen), at))
            audience.shown -= {hint.device_id for hint in dirty.removed}
        if dirty.claims:
            await self._dashboards.send_claims()


def _shown(audience: Audience, device_id: int, owner_id: int | None) -> bool:
    return audience.scope.owns(owner_id) or device_id in audience.shown


def _share(
    dirty: _Dirty, audience: Audience, moved: Moved, views: Mapping[int, DeviceView], seen: list[int], at: str
) -> DevicesChanged:
    """What an audience is told of what changed."""
    gone = [hint for hint in dirty.removed if _shown(audience, hint.device_id, hint.user_id)]
    given = [hint for hint in dirty.moved if audience.user_id is not None and hint.user_id == audience.user_id]
    gone += [hint for hint in given if hint.device_id not in moved.seen]
    removed = [Removed(id=hint.device_id, rev=hint.rev) for hint in gone]
    removed += [Removed(id=device_id, rev=views[device_id].rev) for device_id in sorted(moved.went)]
    return DevicesChanged(
        devices=[moved.seen[device_id] for device_id in sorted((dirty.rows | moved.came) & moved.seen.keys())],
        changes=[status_change(moved.seen[device_id]) for device_id in sorted(dirty.status & moved.seen.keys())],
        removed=removed,
        seen=[Seen(at=at, ids=seen)] if seen else [],
    )
