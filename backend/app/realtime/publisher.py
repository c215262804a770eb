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
from app.devices.glances import Glance
from app.devices.service import DeviceService, Revision
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
    everything: bool = False

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
            case HintKind.EVERYTHING:
                self.everything = self.claims = True


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
        self._revisions: Mapping[int, Revision] | None = None
        """Of every device, when everything was last looked at; None once nobody watches."""
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
        dirty.everything |= newer.everything
        self._woken.set()

    async def _tell(self, dirty: _Dirty) -> None:
        audiences = self._dashboards.audiences()
        if dirty.status:
            log.info("Broadcasting status change", devices=len(dirty.status), audiences=len(audiences))
        if not audiences:
            self._revisions = None
            return
        if dirty.everything:
            await self._look_everywhere(dirty)
        if dirty.shares:
            await self._dashboards.show_again(dirty.shares)
            audiences = self._dashboards.audiences()
        named = {hint.device_id for hint in (*dirty.removed, *dirty.moved)}  # whatever they say of it, the row is true
        changed = dirty.status | dirty.rows | named
        whole = changed if any(audience.shares for audience in audiences) else dirty.rows
        found, views = await self._devices.look(changed | dirty.seen, whole)
        dirty.removed = [hint for hint in dirty.removed if hint.device_id not in found]
        owners = {device_id: found[device_id].user_id for device_id in changed & found.keys()}
        at = iso(self._clock())
        for audience in audiences:
            moved = await self._audiences.look(audience, owners)
            seen = [one for one in dirty.seen & found.keys() if _shown(audience, one, found[one].user_id)]
            await self._dashboards.send(
                audience.user_id, _share(dirty, audience, moved, found, views, sorted(seen), at)
            )
            audience.shown -= {hint.device_id for hint in dirty.removed}
        if dirty.claims:
            await self._dashboards.send_claims()

    async def _look_everywhere(self, dirty: _Dirty) -> None:
        """Hints were lost, nobody knows which: name what has changed since everything was last looked at."""
        before, now = self._revisions, await self._devices.revisions()
        self._revisions = now
        dirty.shares |= {one.user_id for one in self._dashboards.audiences() if one.user_id is not None}
        if before is None:
            self._dashboards.show_all()
            dirty.status |= now.keys() if self._dashboards.any_plain() else set()
            return
        changed = {device_id for device_id, found in now.items() if before.get(device_id) != found}
        dirty.rows |= changed
        dirty.status |= changed
        for device_id in before.keys() - now.keys():
            rev, user_id = before[device_id]
            dirty.removed.append(Hint(HintKind.DEVICE_REMOVED, device_id, user_id or 0, rev + 1))
        for device_id in changed & before.keys():
            rev, user_id = before[device_id]
            if user_id != now[device_id][1]:
                dirty.moved.append(Hint(HintKind.DEVICE_MOVED, device_id, user_id or 0, rev))


def _shown(audience: Audience, device_id: int, owner_id: int | None) -> bool:
    return audience.scope.owns(owner_id) or device_id in audience.shown


def _share(
    dirty: _Dirty,
    audience: Audience,
    moved: Moved,
    found: Mapping[int, Glance],
    views: Mapping[int, DeviceView],
    seen: list[int],
    at: str,
) -> DevicesChanged:
    """What an audience is told of what changed."""
    gone = [hint for hint in dirty.removed if _shown(audience, hint.device_id, hint.user_id)]
    given = [hint for hint in dirty.moved if audience.user_id is not None and hint.user_id == audience.user_id]
    gone += [hint for hint in given if hint.device_id not in moved.seen]
    removed = [Removed(id=hint.device_id, rev=hint.rev) for hint in gone]
    removed += [Removed(id=device_id, rev=found[device_id].change.rev) for device_id in sorted(moved.went)]
    return DevicesChanged(
        devices=[views[device_id] for device_id in sorted((dirty.rows | moved.came) & moved.seen & views.keys())],
        changes=[found[device_id].change for device_id in sorted(dirty.status & moved.seen)],
        removed=removed,
        seen=[Seen(at=at, ids=seen)] if seen else [],
    )
