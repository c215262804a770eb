"""What a selector means for somebody: with the groups of theirs that it names, and groups within those.

Invariant: the condition has a bounded size and a bounded depth, whatever groups name each other; a group that contains
itself is refused. The condition says nothing about whose devices may be seen: a ``Scope`` does that, always.
"""

import difflib
from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.devices.models import Device
from app.devices.scope import Scope
from app.errors import InvalidSelector
from app.groups import conditions, repository
from app.groups.conditions import Condition
from app.groups.models import Group, GroupDevice
from app.groups.parsing import parse
from app.groups.selectors import Selector, Tag

WEIGHT_MAX = 500
"""Conditions and values, those of the groups included."""
DEPTH_MAX = 10
"""Of groups within groups."""
_TAGS_READ = 5_000
"""How many devices are looked at for the name of a tag that someone may have meant."""


async def condition(session: AsyncSession, user_id: int, selector: Selector, live_nodes: Collection[str]) -> Condition:
    """What holds for the devices that ``selector`` means when this user says it. Raises InvalidSelector."""
    groups = await repository.of_user(session, user_id) if selector.groups else []
    return resolved(selector, {group.name: group for group in groups}, live_nodes)


def resolved(selector: Selector, groups: Mapping[str, Group], live_nodes: Collection[str]) -> Condition:
    """The same with these groups, by name."""
    return _Resolver(groups, live_nodes).condition(selector)


def weighed(selector: Selector, groups: Mapping[str, Group]) -> tuple[Condition, int]:
    """The same without what depends on the moment, and how many conditions and values it has."""
    resolver = _Resolver(groups, ())
    return resolver.condition(selector), resolver.weight


async def warnings(session: AsyncSession, scope: Scope, selector: Selector) -> list[str]:
    """A sentence for each tag that ``selector`` speaks of and no device in ``scope`` has."""
    names = list(dict.fromkeys(term.key.name for term in selector.terms if isinstance(term.key, Tag)))
    if not names:
        return []
    having = [scope.limit(sa.select(Device.id)).where(conditions.has_tag(name)).exists() for name in names]
    found = (await session.execute(sa.select(*having))).one()
    unknown = [name for name, known in zip(names, found, strict=True) if not known]
    if not unknown:
        return []
    rows = await session.execute(scope.limit(sa.select(Device.tags, Device.agent_tags)).limit(_TAGS_READ))
    known_names = {name for tags, agent_tags in rows for name in (*tags, *agent_tags)}
    return [_warning(name, known_names) for name in unknown]


def _warning(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.7)
    return f"No device has the tag {Tag(name)}." + (f" Did you mean {Tag(near[0])}?" if near else "")


class _Resolver:
    """Turns one selector into a condition, and counts as it goes."""

    def __init__(self, groups: Mapping[str, Group], live_nodes: Collection[str]) -> None:
        self._groups = groups
        self._live_nodes = live_nodes
        self._within: list[str] = []
        self.weight = 0

    def condition(self, selector: Selector) -> Condition:
        self.weight += selector.weight
        if self.weight > WEIGHT_MAX:
            raise InvalidSelector(f"With its groups this selector has more than {WEIGHT_MAX} conditions and values.")
        return conditions.condition(selector, self._live_nodes, self._in_group)

    def _in_group(self, name: str) -> Condition:
        group = self._groups.get(name)
        if group is None:
            raise InvalidSelector(f"You have no group named {name}.", code="unknown_group")
        if group.selector is None:
            return Device.id.in_(sa.select(GroupDevice.device_id).where(GroupDevice.group_id == group.id))
        if name in self._within:
            circle = " → ".join([*self._within[self._within.index(name) :], name])
            raise InvalidSelector(f"The group {name} would contain itself: {circle}.", code="group_contains_itself")
        if len(self._within) == DEPTH_MAX:
            raise InvalidSelector(f"Groups within groups may be {DEPTH_MAX} deep, not more.")
        self._within.append(name)
        try:
            return self.condition(parse(group.selector))
        finally:
            self._within.pop()
