"""What a selector may be made of for somebody: the keys, and what their devices have for each, as it is written there.

For completion. Invariants: nothing outside ``scope`` is named; what is given has a bounded size, the commonest first.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.devices.models import Device
from app.devices.scope import Scope
from app.groups.selectors import Builtin, Tag, Value
from deployx_protocol.states import Presence, Trust

_DEVICES_READ = 5_000
_KEYS_MAX = 200
_VALUES_MAX = 200
"""Of one key."""


async def words(session: AsyncSession, scope: Scope, groups: Iterable[str]) -> dict[str, list[str]]:
    """Key → values: those of the system first, then the names of tags. A key without values has an empty list."""
    query = sa.select(
        Device.device_name,
        Device.hostname,
        Device.platform,
        Device.agent_version,
        Device.facts,
        Device.tags,
        Device.agent_tags,
        User.email,
    ).join(User, Device.user_id == User.id, isouter=True)
    found: dict[Builtin | Tag, Counter[str]] = defaultdict(Counter)
    for row in await session.execute(scope.limit(query).order_by(Device.id).limit(_DEVICES_READ)):
        found[Builtin.NAME][row.device_name] += 1
        found[Builtin.HOSTNAME][row.hostname] += 1
        found[Builtin.PLATFORM][row.platform] += 1
        found[Builtin.VERSION][row.agent_version] += 1
        found[Builtin.OS][row.facts.get("os", "")] += 1
        found[Builtin.ARCH][row.facts.get("arch", "")] += 1
        found[Builtin.OWNER][row.email or ""] += 1
        for name, value in {**row.agent_tags, **row.tags}.items():
            found[Tag(name)][value] += 1
    found[Builtin.STATUS] = Counter({one.value: 1 for one in Presence})
    found[Builtin.TRUST] = Counter({one.value: 1 for one in Trust})
    found[Builtin.GROUP] = Counter(dict.fromkeys(groups, 1))
    tags = sorted((key for key in found if isinstance(key, Tag)), key=lambda tag: (-found[tag].total(), tag.name))
    return {str(key): _written(found[key]) for key in [*Builtin, *tags[:_KEYS_MAX]]}


def _written(values: Counter[str]) -> list[str]:
    common = sorted((value for value in values if value), key=lambda value: (-values[value], value))
    return [str(Value((value,))) for value in common[:_VALUES_MAX]]
