"""Who watches, as far as what they are shown differs: one audience for each user, one for all who see everything.

An audience knows which devices of others it was shown, so that these can be taken away again. Invariant: ``Publisher``
alone asks what an audience sees now, in the task that sends, so that nothing is sent by what held before; and an
audience is known before its first snapshot is read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.devices.scope import EVERYONE, Scope
from app.devices.service import DeviceService
from deployx_protocol.messages import DeviceView


@dataclass(slots=True)
class Audience:
    """Those who see the same. ``shown``: devices of others that were shared with them when they were last told."""

    scope: Scope
    shown: set[int] = field(default_factory=set)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever reads what is shown, and notes it, is alone: what is in a snapshot is known when it has to go again."""

    @property
    def user_id(self) -> int | None:
        """Whose dashboards these are; None: of those who see everything."""
        return self.scope.user_id

    @property
    def shares(self) -> bool:
        """Whether anything of others is, or was, shown to them."""
        return bool(self.scope.shares or self.shown)

    @asynccontextmanager
    async def showing(self) -> AsyncIterator[Callable[[Iterable[DeviceView]], None]]:
        """Read a piece of a snapshot within it, and hand over what was read."""

        def note(views: Iterable[DeviceView]) -> None:
            self.shown |= {view.id for view in views if not self.scope.owns(view.user_id)}

        if self.user_id is None:
            yield note
        else:
            async with self.turn:
                yield note


@dataclass(frozen=True, slots=True)
class Moved:
    """Which of some devices an audience sees now, and which of them it does not see any more."""

    seen: set[int]
    came: frozenset[int] = frozenset()
    went: frozenset[int] = frozenset()


class Audiences:
    """The audiences of this node's dashboards."""

    def __init__(self, devices: DeviceService) -> None:
        self._devices = devices
        self._known: dict[int | None, Audience] = {None: Audience(EVERYONE)}
        self._turn = asyncio.Lock()

    def get(self, user_id: int | None) -> Audience:
        """The audience of a user who has joined."""
        return self._known[user_id]

    async def join(self, user_id: int | None) -> None:
        """Somebody of this audience begins to watch. Raises Unavailable."""
        async with self._turn:
            if user_id not in self._known:
                self._known[user_id] = Audience(*await self._devices.scope(user_id))

    async def refresh(self, user_ids: Iterable[int]) -> set[int]:
        """What is shared with these users may have changed: which of them are known here. Raises Unavailable."""
        async with self._turn:
            affected = {user_id for user_id in user_ids if user_id in self._known}
            for user_id in sorted(affected):
                self._known[user_id] = Audience(*await self._devices.scope(user_id))
        return affected

    def keep(self, user_ids: Collection[int | None]) -> None:
        """Forget the audiences of all others: nobody of them is there any more."""
        for user_id in [one for one in self._known if one is not None and one not in user_ids]:
            del self._known[user_id]

    async def look(self, audience: Audience, owners: Mapping[int, int | None]) -> Moved:
        """What ``audience`` sees of devices that changed: their ids, and whose they are. Raises Unavailable."""
        async with audience.turn:
            return await self._look(audience, owners)

    async def _look(self, audience: Audience, owners: Mapping[int, int | None]) -> Moved:
        own = {device_id for device_id, owner in owners.items() if audience.scope.owns(owner)}
        if not audience.shares:
            return Moved(own)
        sharing = {share.owner_id for share in audience.scope.shares}
        asked = {id for id, owner in owners.items() if owner in sharing or id in audience.shown} - own
        shared = await self._devices.visible(audience.scope, asked) if asked else set[int]()
        before = audience.shown & owners.keys()
        audience.shown = (audience.shown - before) | shared
        seen = own | shared
        return Moved(seen, frozenset(shared - before), frozenset(before - seen))
