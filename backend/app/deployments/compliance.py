"""Which devices have a release: exactly it, an older or a newer one of its name, none, or nobody can say, and why.

Two witnesses are heard: what deployments left on a device (``standing``), which said so after its durable commit; and,
of a release that is a package, the list of packages that its agent reported (``packages``). The younger one counts.
Invariant: whatever is listed or counted is of devices that whoever asks may see.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app import cursors
from app.accounts.principal import Principal
from app.db import Database
from app.deployments import packages, standing
from app.deployments.packages import Listed
from app.deployments.standing import Last
from app.devices.models import Device
from app.groups import targets as groups
from app.groups.parsing import parse
from app.groups.scopes import scope_of
from app.releases import lookup
from app.releases.lookup import Found
from deployx_protocol.deployments import IN_FLIGHT, TargetState
from deployx_protocol.releases import Manifest

_CURSOR = "compliance"


class Standing(StrEnum):
    """How a device stands to a release."""

    EXACT = "exact"  # it has it
    OLDER = "older"  # it has an older one of the name
    NEWER = "newer"  # it has a newer one of the name
    MISSING = "missing"  # it has none
    UNKNOWN = "unknown"  # nobody can say: `why` says why not
    UNFIT = "unfit"  # the release is not for its platform


@dataclass(frozen=True, slots=True)
class DeviceStanding:
    """One device. ``has``: the version that is there, empty where none is or nobody can say; ``since``: when that was
    last known."""

    device_id: int
    device_name: str
    standing: Standing
    has: str
    why: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Compliance:
    """A page of devices by their names, and how many of all are in each standing."""

    release: Found
    counts: Mapping[Standing, int]
    devices: Sequence[DeviceStanding]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A device, and what is known of it."""

    id: int
    name: str
    fits: bool
    listed: Listed | None
    last: Last | None


class ComplianceService:
    """Reads within what a principal may see."""

    def __init__(self, db: Database, live_nodes: Callable[[], Collection[str]]) -> None:
        self._db = db
        self._live_nodes = live_nodes

    async def page(
        self,
        principal: Principal,
        release_id: str,
        *,
        standings: Collection[Standing],
        selector: str | None,
        search: str | None,
        limit: int,
        cursor: str | None,
    ) -> Compliance:
        """One page. ``selector`` narrows which devices are counted and listed, ``standings`` and ``search`` (a part of
        the name) only which are listed. Raises NotFound, and InvalidInput for a bad selector or cursor."""
        position = cursors.read(cursor, _CURSOR, (str, int)) if cursor else None
        async with self._db.read(at_one_moment=True) as session:
            release = await lookup.by_id(session, release_id)
            manifest = release.manifest
            arch = Device.facts["arch"].as_string()
            query = (await scope_of(session, principal)).limit(
                sa.select(Device.id, Device.device_name, Device.platform, arch)
            )
            if selector:
                meant = await groups.condition(session, principal.user_id, parse(selector), self._live_nodes())
                query = query.where(meant)
            rows = list(await session.execute(query))
            fits = {pair: manifest.runs_on(pair[0], pair[1] or "") for pair in {(row[2], row[3]) for row in rows}}
            last = await standing.last_of(session, manifest.name)
            listed = await packages.listed(session, manifest.package) if manifest.package else {}
            known = [_Known(row[0], row[1], fits[row[2], row[3]], listed.get(row[0]), last.get(row[0])) for row in rows]
            stands = {one.id: _stands(one, release) for one in known}
            known = [
                one
                for one in known
                if (not standings or stands[one.id] in standings) and (search or "").lower() in one.name.lower()
            ]
            known.sort(key=_by_name)
            if position:
                known = [one for one in known if _by_name(one) > tuple(position)]
            here = known[:limit]
            ends = await standing.reasons(session, [one.last.target_id for one in here if one.last])
        following = cursors.write(_CURSOR, _by_name(here[-1])) if len(known) > limit else None
        return Compliance(
            release, Counter(stands.values()), [_told(one, stands[one.id], manifest, ends) for one in here], following
        )


def _by_name(one: _Known) -> tuple[Any, ...]:
    return one.name, one.id


def _stands(known: _Known, release: Found) -> Standing:
    if not known.fits:
        return Standing.UNFIT
    if _by_list(known):
        assert known.listed is not None
        return Standing(known.listed.standing)
    last = known.last
    if last is None:
        by_list_alone = release.manifest.package is not None
        return Standing.UNKNOWN if by_list_alone else Standing.MISSING
    if last.state is not TargetState.SUCCEEDED:
        return Standing.UNKNOWN
    if last.release.sha256 == release.sha256:
        return Standing.EXACT
    if last.release.number == release.manifest.number:
        return Standing.UNKNOWN
    return Standing.OLDER if last.release.number < release.manifest.number else Standing.NEWER


def _by_list(known: _Known) -> bool:
    """Whether it is its list of packages that says it."""
    if known.listed is None or not known.listed.standing:
        return False
    return known.last is None or known.last.at is None or known.listed.confirmed_at > known.last.at


# ---------------------------------------------------------------- in words


def _told(known: _Known, stands: Standing, manifest: Manifest, ends: Mapping[str, str]) -> DeviceStanding:
    has, why, since = _words(known, stands, manifest, ends)
    return DeviceStanding(known.id, known.name, stands, has, why, since)


def _words(
    known: _Known, stands: Standing, manifest: Manifest, ends: Mapping[str, str]
) -> tuple[str, str, datetime | None]:
    if stands is Standing.UNFIT:
        return "", f"the release is for {', '.join(manifest.platforms)}", None
    if _by_list(known):
        assert known.listed is not None and manifest.package is not None
        has, name = known.listed.versions, manifest.package.name
        why = f"its list of packages has {name} {has}" if has else f"its list of packages has no {name}"
        return has, why, known.listed.confirmed_at
    last = known.last
    if last is None:
        if stands is Standing.MISSING:
            return "", "no deployment has brought one there", None
        return "", "no deployment has brought one there, and no list of packages can tell", None
    called = f"{manifest.name} {last.release.version}"
    if last.state is not TargetState.SUCCEEDED:
        return "", _in_between(called, last, ends.get(last.target_id, "")), last.at
    other = ", which has the same number and is another release" if stands is Standing.UNKNOWN else ""
    return last.release.version, f"a deployment has installed {called}{other}", last.at


def _in_between(called: str, last: Last, said: str) -> str:
    if last.state in IN_FLIGHT:
        return f"a deployment of {called} is at work there"
    if last.state is TargetState.PENDING:
        return f"an install of {called} was cut short, and is tried again"
    why = f": {said.rstrip('.')}" if said else ""
    return f"{called} failed there after it had begun{why}"
