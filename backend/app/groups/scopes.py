"""What somebody may see, read from the groups that are shared with them.

Invariant: what cannot be resolved, or is more than one query can carry, shares nothing. A scope is read where it is
used, in the same transaction, so that whoever stops to be a member stops to see at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.devices.models import Device
from app.devices.scope import EVERYONE, Condition, MemberRole, Scope, Share
from app.errors import InvalidSelector
from app.groups import repository, targets
from app.groups.models import Group, GroupDevice
from app.groups.parsing import parse
from app.groups.selectors import Builtin

WEIGHT_MAX = 2_000
"""Conditions and values of all groups that are shared with one user; what is beyond them is not seen."""

log = structlog.get_logger()


async def scope_of(session: AsyncSession, principal: Principal, *, lock: bool = False) -> Scope:
    """What ``principal`` may see. With ``lock`` none of what is shared with them is taken back until the transaction
    ends."""
    return await of_user(session, None if principal.may(Permission.DEVICES_ALL) else principal.user_id, lock=lock)


async def of_user(session: AsyncSession, user_id: int | None, *, lock: bool = False) -> Scope:
    """What this user may see as the owner of devices and a member of groups; None: everything."""
    if user_id is None:
        return EVERYONE
    rows = await repository.shared_with(session, user_id, lock=lock)
    return Scope(user_id, tuple(await _shares(session, rows))) if rows else Scope(user_id)


async def within(session: AsyncSession, group: Group) -> Condition | None:
    """What holds for the devices in ``group``; None where it shares nothing."""
    if group.selector is None:
        return _static([group.id])
    try:
        return _dynamic(group, await repository.by_name(session, group.user_id))[0]
    except InvalidSelector:
        return None


def sharable(group: Group, by_name: Mapping[str, Group]) -> None:
    """Raises InvalidSelector for a group, which can be resolved, whose devices would come and go with their
    connections: whoever is shown a device has to be shown that it is offline, too."""
    if group.selector and _names(group, by_name, Builtin.STATUS):
        text = f"The group {group.name} is shared, so its selector cannot depend on the status of devices."
        raise InvalidSelector(text, code="not_sharable")


async def _shares(session: AsyncSession, rows: Sequence[tuple[Group, str]]) -> list[Share]:
    found: list[Share] = []
    picked: dict[tuple[int, MemberRole], list[str]] = defaultdict(list)
    owners = {group.user_id for group, _ in rows if group.selector}
    groups = {owner_id: await repository.by_name(session, owner_id) for owner_id in sorted(owners)}
    left = WEIGHT_MAX
    for group, word in rows:
        role = MemberRole(word)
        if group.selector is None:
            picked[group.user_id, role].append(group.id)
            continue
        try:
            condition, weight = _dynamic(group, groups[group.user_id])
        except InvalidSelector as error:
            log.warning("group.shares_nothing", group_id=group.id, why=error.message)
            continue
        left -= weight
        if left < 0:
            log.warning("group.shares_nothing", group_id=group.id, why="too much is shared with one user")
            break
        found.append(Share(group.user_id, role, condition))
    found += [Share(owner_id, role, _static(ids)) for (owner_id, role), ids in picked.items()]
    return found


def _static(group_ids: Iterable[str]) -> Condition:
    listed = sa.select(GroupDevice.device_id).where(GroupDevice.group_id.in_(list(group_ids)))
    return Device.id.in_(listed)


def _dynamic(group: Group, by_name: Mapping[str, Group]) -> tuple[Condition, int]:
    found = targets.weighed(parse(group.selector or ""), by_name)
    sharable(group, by_name)
    return found


def _names(group: Group, by_name: Mapping[str, Group], key: Builtin) -> bool:
    """Whether the selector of ``group``, or of one within it, speaks of ``key``. It was resolved, so it has an end."""
    selector = parse(group.selector or "")
    inner = (by_name[name] for name in selector.groups if name in by_name)
    return any(term.key is key for term in selector.terms) or any(
        _names(one, by_name, key) for one in inner if one.selector
    )
