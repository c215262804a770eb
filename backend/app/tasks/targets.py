"""Which devices a run reaches, and which it leaves out and why: the same answer for a preview and for the run itself.

Invariant: only trusted devices with a key are reached, and only those that the user may run on. A device that they do
not see is answered exactly as one that does not exist.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.principal import Principal
from app.devices.models import Device
from app.devices.scope import Right, Scope
from app.devices.views import presence
from app.errors import InvalidInput
from app.groups import targets as groups
from app.groups.parsing import parse
from app.groups.scopes import scope_of
from app.tasks.schemas import DEVICE_IDS_MAX, Targets
from app.tasks.work import Work, check_characters
from deployx_protocol.messages import WATCHES_ONLY
from deployx_protocol.states import Presence, Trust

_PIECE = 1_000
_WATCHES = "its agent only watches: its owner has to start it without --watch-only"
_NOT_THERE = "There is no such device."
_ONLY_SEEN = "it is shared with you to look at, not to run on"
_WHY = {
    Trust.PENDING: "pending: accept it first",
    Trust.QUARANTINED: "quarantined: answer its claim first",
    Trust.UNVERIFIED: "no key: presence only",
}


class Target(NamedTuple):
    """A device that gets a task."""

    id: int
    device_name: str
    status: Presence
    platform: str
    owner_id: int | None
    hostname: str
    public_key: str
    policy: str
    """What it reports of its policy."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A device that was asked for and gets none. ``id`` is None when it was deleted."""

    id: int | None
    device_name: str
    why: str


@dataclass(slots=True)
class Reach:
    """All of a request's devices, by name."""

    targets: list[Target] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def online(self) -> int:
        """How many are online."""
        return sum(target.status is Presence.ONLINE for target in self.targets)


def check(targets: Targets) -> None:
    """Raises InvalidInput unless there is exactly one way to choose, of a size that can be served."""
    if (targets.selector is None) == (targets.device_ids is None):
        raise InvalidInput("`targets` needs one of `selector` and `device_ids`.", code="ambiguous_targets")
    if targets.device_ids is not None and len(targets.device_ids) > DEVICE_IDS_MAX:
        raise _too_many()
    check_characters("selector", targets.selector or "")


async def reach(
    session: AsyncSession, principal: Principal, targets: Targets, live_nodes: Collection[str], *, lock: bool = False
) -> Reach:
    """The devices of ``targets``. With ``lock`` none of them is deleted until the transaction ends.

    Raises InvalidInput for a selector that cannot be read, or too many devices.
    """
    check(targets)
    scope = await scope_of(session, principal, lock=lock)
    if targets.device_ids is not None:
        return await of_ids(session, scope, targets.device_ids, live_nodes, lock=lock)
    selector = parse(targets.selector or "")
    condition = await groups.condition(session, principal.user_id, selector, live_nodes)
    rows = await _read(session, _query(scope, lock=lock).where(condition).limit(DEVICE_IDS_MAX + 1))
    if len(rows) > DEVICE_IDS_MAX:
        raise _too_many()
    found = _judged(rows, live_nodes)
    found.warnings += await groups.warnings(session, scope, selector)
    return found


async def of_ids(
    session: AsyncSession, scope: Scope, device_ids: Iterable[int], live_nodes: Collection[str], *, lock: bool = False
) -> Reach:
    """The devices with these ids, within ``scope``."""
    wanted = sorted(set(device_ids))
    rows: list[Any] = []
    for start in range(0, len(wanted), _PIECE):
        rows += await _read(session, _query(scope, lock=lock).where(Device.id.in_(wanted[start : start + _PIECE])))
    found = _judged(rows, live_nodes)
    there = {row.id for row in rows}
    found.excluded += [Excluded(device_id, "", _NOT_THERE) for device_id in wanted if device_id not in there]
    return found


def none_matched(found: Reach) -> InvalidInput:
    """What to answer when nothing is reached."""
    if not found.excluded:
        return InvalidInput("No device matches.", code="no_device_matched")
    [first, *others] = found.excluded
    more = f", and {len(others)} more are left out" if others else ""
    text = f"No device can be given work: {first.device_name or f'device {first.id}'}: {first.why.rstrip('.')}{more}."
    return InvalidInput(text, code="no_device_matched")


def warnings(found: Reach, work: Work | None) -> list[str]:
    """What someone should know before this is started, besides the numbers."""
    said = list(found.warnings)
    if work and work.cwd:
        windows = PureWindowsPath(work.cwd).is_absolute() and not PurePosixPath(work.cwd).is_absolute()
        wrong = sum(target.platform.lower().startswith("windows") is not windows for target in found.targets)
        if wrong:
            kinds = ("does not run", "do not run") if windows else ("runs", "run")
            said.append(f"{wrong} of the devices {kinds[wrong > 1]} Windows, where {work.cwd} is no absolute path.")
    return said


def _query(scope: Scope, *, lock: bool) -> sa.Select[*tuple[Any, ...]]:
    says = [Device.facts[name].as_string() == value for name, value in WATCHES_ONLY.items()]
    shown = (Device.id, Device.device_name, Device.status, Device.node_id, Device.platform, Device.user_id)
    signed = (Device.hostname, Device.public_key, Device.policy)
    judged = (Device.trust, sa.and_(*says).label("watches_only"), scope.holds(Right.RUN).label("may_run"))
    query = scope.limit(sa.select(*shown, *signed, *judged)).order_by(Device.id)
    return query.with_for_update(read=True, key_share=True, of=Device) if lock else query


async def _read(session: AsyncSession, query: sa.Select[*tuple[Any, ...]]) -> Sequence[Any]:
    return (await (await session.connection()).execute(query)).all()  # past the mapper, which has nothing to map


def _judged(rows: Sequence[Any], live_nodes: Collection[str]) -> Reach:
    found = Reach()
    for id, name, status, node_id, platform, owner_id, hostname, key, policy, trust, watches_only, may_run in sorted(
        rows, key=attrgetter("device_name", "id")
    ):
        if not may_run:
            found.excluded.append(Excluded(id, name, _ONLY_SEEN))
        elif trust == Trust.TRUSTED and key is not None and watches_only:
            found.excluded.append(Excluded(id, name, _WATCHES))
        elif trust == Trust.TRUSTED and key is not None:
            now = presence(status, node_id, live_nodes)
            found.targets.append(Target(id, name, now, platform, owner_id, hostname, key, policy))
        else:
            why = _WHY[Trust.UNVERIFIED] if trust == Trust.TRUSTED else _WHY[Trust(trust)]
            found.excluded.append(Excluded(id, name, why))
    return found


def _too_many() -> InvalidInput:
    return InvalidInput(f"A run reaches at most {DEVICE_IDS_MAX:,} devices; choose fewer.", code="too_many_devices")
