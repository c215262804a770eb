"""From a ``Selector`` to a condition on ``devices``, for SQLite and PostgreSQL alike.

Invariant: a key becomes one of the expressions below or the value of a tag, never a column by its name; what people
wrote is a bound parameter. A condition is true or false, never NULL, so that "not" means the opposite.
"""

from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from app.accounts.models import User
from app.devices.models import Device
from app.groups.selectors import Builtin, Key, Selector, Tag, Term
from app.groups.sql import json_text, like
from deployx_protocol.states import DeviceStatus, Presence

Condition = sa.ColumnElement[bool]


def condition(selector: Selector, live_nodes: Collection[str], in_group: Callable[[str], Condition]) -> Condition:
    """What holds for the devices that ``selector`` means. ``in_group``: what holds for those in a group."""
    return sa.and_(sa.true(), *(_term(term, live_nodes, in_group) for term in selector.terms))


def has_tag(name: str) -> Condition:
    """What holds for the devices that have this tag, from people or from their agent's settings."""
    return _tag(name).is_not(None)


def _term(term: Term, live_nodes: Collection[str], in_group: Callable[[str], Condition]) -> Condition:
    if term.key is Builtin.GROUP:
        met: Condition = sa.or_(*(in_group("".join(value.parts)) for value in term.values))
    else:
        met = _met(_value(term.key, live_nodes), term)
    return sa.not_(met) if term.negated else met


def _met(value: sa.ColumnElement[Any], term: Term) -> Condition:
    if not term.values:
        return value.is_not(None)
    exact = [text for one in term.values if (text := one.exact) is not None]
    found: list[Condition] = [like(value, one.parts) for one in term.values if one.exact is None]
    if exact:
        found.append(value.in_([int(text) for text in exact] if term.key is Builtin.ID else exact))
    return sa.and_(value.is_not(None), sa.or_(*found))


def _value(key: Key, live_nodes: Collection[str]) -> sa.ColumnElement[Any]:
    """What a device has for ``key``; NULL for nothing."""
    match key:
        case Tag(name):
            return _tag(name)
        case Builtin.STATUS:
            return sa.case(
                (Device.status == DeviceStatus.OFFLINE, Presence.OFFLINE.value),
                (Device.node_id.in_(live_nodes), Presence.ONLINE.value),
                else_=Presence.UNKNOWN.value,
            )
        case Builtin.OWNER:
            owner = aliased(User)
            return sa.select(owner.email).where(owner.id == Device.user_id).correlate(Device).scalar_subquery()
        case Builtin.OS | Builtin.ARCH:
            return _or_null(json_text(Device.facts, key.value))
        case _:
            column: sa.ColumnElement[Any] = _COLUMNS[key]
            return column


def _tag(name: str) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(json_text(Device.tags, name), json_text(Device.agent_tags, name))


def _or_null(text: Any) -> sa.ColumnElement[Any]:
    return sa.func.nullif(text, "")


_COLUMNS: dict[Builtin, Any] = {
    Builtin.ID: Device.id,
    Builtin.NAME: _or_null(Device.device_name),
    Builtin.HOSTNAME: _or_null(Device.hostname),
    Builtin.PLATFORM: _or_null(Device.platform),
    Builtin.AGENT_ID: _or_null(Device.agent_id),
    Builtin.TRUST: Device.trust,
    Builtin.VERSION: _or_null(Device.agent_version),
}
