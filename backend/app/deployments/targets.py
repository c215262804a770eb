"""Which devices get a release, in which order, and which are left out and why: the same answer for a preview, for the
deployment itself, and for devices that join one later.

Invariant: only trusted devices with a key whose agent takes releases are reached, and only those that the user may run
on. A device that they do not see is answered exactly as one that does not exist.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import among
from app.deployments import standing
from app.deployments.models import Deployment, DeploymentTarget
from app.deployments.repository import UNFINISHED
from app.deployments.strategy import Strategy
from app.devices.models import Device
from app.devices.scope import Right, Scope
from app.devices.views import presence
from app.errors import InvalidInput
from app.groups import targets as groups
from app.groups.parsing import parse
from app.releases.lookup import Found
from app.tasks.schemas import DEVICE_IDS_MAX, Targets
from app.tasks.targets import Excluded
from deployx_protocol.deployments import IN_FLIGHT, OnFailure, Order
from deployx_protocol.messages import TAKES_RELEASES, TAKES_UPDATES, WATCHES_ONLY
from deployx_protocol.policy import Policy, Releases, report_of
from deployx_protocol.release_policy import not_taken_back, not_yet, release_forbidden
from deployx_protocol.releases import Action, Kind
from deployx_protocol.states import Presence, Trust
from deployx_protocol.tasks import TaskCode

_WHY = {
    Trust.PENDING: "pending: accept it first",
    Trust.QUARANTINED: "quarantined: answer its claim first",
    Trust.UNVERIFIED: "no key: presence only",
}
_ONLY_SEEN = "it is shared with you to look at, not to run on"
_WATCHES = "its agent only watches: its owner has to start it without --watch-only"
_TOO_OLD = "its agent does not know releases: upgrade it"
_NO_ROOT = "it trusts no keys for updates of its agent: put update-root.json there, and restart the agent"
_NOT_THERE = "There is no such device."
_NEVER_BACK = "a release never goes back"
_report_of = lru_cache(maxsize=1_024)(report_of)


@dataclass(frozen=True, slots=True)
class Planned:
    """A device that gets the release."""

    id: int
    device_name: str
    status: Presence
    hostname: str
    owner_id: int | None
    tag: str | None = None
    """The value of the tag by which they are ordered."""


@dataclass(slots=True)
class Reach:
    """All of a request's devices; ``targets`` in the order of their turns."""

    targets: list[Planned] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def online(self) -> int:
        """How many are online."""
        return sum(target.status is Presence.ONLINE for target in self.targets)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who wants which release where, and how it is now."""

    scope: Scope
    user_id: int
    release: Found
    strategy: Strategy
    live_nodes: Collection[str]
    now: datetime


async def reach(session: AsyncSession, asking: Asking, targets: Targets, *, lock: bool = False) -> Reach:
    """The devices of ``targets``. With ``lock`` none of them is deleted until the transaction ends.

    Raises InvalidInput for a selector that cannot be read, or too many devices.
    """
    query = _query(asking.scope, lock=lock)
    rows: list[Any] = []
    missing: list[int] = []
    warnings: list[str] = []
    if targets.device_ids is not None:
        wanted = sorted(set(targets.device_ids))
        rows = list(await session.execute(query.where(among(Device.__table__.c.id, "ids")), {"ids": wanted}))
        there = {row.id for row in rows}
        missing = [device_id for device_id in wanted if device_id not in there]
    else:
        selector = parse(targets.selector or "")
        condition = await groups.condition(session, asking.user_id, selector, asking.live_nodes)
        rows = list(await session.execute(query.where(condition).limit(DEVICE_IDS_MAX + 1)))
        warnings = await groups.warnings(session, asking.scope, selector)
    if len(rows) > DEVICE_IDS_MAX:
        raise InvalidInput(
            f"A deployment reaches at most {DEVICE_IDS_MAX:,} devices; choose fewer.", code="too_many_devices"
        )
    found = await judged(session, asking, rows)
    found.excluded += [Excluded(device_id, "", _NOT_THERE) for device_id in missing]
    found.warnings += warnings
    return found


async def joining(
    session: AsyncSession, asking: Asking, selector: str, deployment_id: str, *, after: int, most: int
) -> tuple[list[Planned], int]:
    """Devices that meet ``selector`` and are not of the deployment yet, and can be given the release: of so many that
    are looked at, from the id ``after`` on. And the id that was looked at last; 0 when it was the last of all."""
    condition = await groups.condition(session, asking.user_id, parse(selector), asking.live_nodes)
    known = sa.exists().where(DeploymentTarget.deployment_id == deployment_id, DeploymentTarget.device_id == Device.id)
    able = [Device.trust == Trust.TRUSTED, Device.public_key.is_not(None), _says(TAKES_RELEASES)]
    able += [_says(TAKES_UPDATES)] if asking.release.manifest.kind is Kind.AGENT else []
    query = _query(asking.scope, lock=True).where(condition, ~known, *able, Device.id > after).limit(most)
    rows = list(await session.execute(query))
    return (await judged(session, asking, rows)).targets, rows[-1].id if len(rows) == most else 0


async def judged(session: AsyncSession, asking: Asking, rows: Sequence[Any]) -> Reach:
    """Which of ``rows`` get the release, and why the others do not."""
    found = Reach()
    manifest, ids = asking.release.manifest, [row.id for row in rows]
    busy = await _busy(session, manifest.name, ids)
    beyond = await standing.later_ones(session, manifest.name, manifest.number, ids)
    later = keep = 0
    for row in sorted(rows, key=lambda row: (row.device_name, row.id)):
        why = _left_out(asking, row) or busy.get(row.id, "")
        if not why and row.id in beyond:
            had = beyond[row.id]
            why = f"it has had {had.version}, number {had.number}, and this is number {manifest.number}: {_NEVER_BACK}"
        if why:
            found.excluded.append(Excluded(row.id, row.device_name, why))
            continue
        status = presence(row.status, row.node_id, asking.live_nodes)
        tag = row.tags.get(asking.strategy.order_tag, row.agent_tags.get(asking.strategy.order_tag))
        found.targets.append(Planned(row.id, row.device_name, status, row.hostname, row.user_id, tag))
        later += _hours_closed(row.policy, asking)
        keep += _keeps_it(row.policy, asking)
    found.targets = ordered(found.targets, asking.strategy)
    if later:
        found.warnings.append(f"{later} of the devices let nothing start at this hour; they would refuse it now.")
    if keep:
        found.warnings.append(
            f"{keep} of the devices would not go back: their policies take a release back, if at all, only to the one "
            "that it names as `previous`."
        )
    return found


def ordered(targets: Iterable[Planned], strategy: Strategy) -> list[Planned]:
    """``targets`` in the order of their turns: the same for the same devices and strategy."""

    def by_chance(one: Planned) -> Any:
        return hashlib.sha256(f"{strategy.order_seed}:{one.id}".encode()).digest()

    def by_tag(one: Planned) -> Any:
        return (one.tag is None, one.tag or "", one.device_name, one.id)

    keys = {Order.RANDOM: by_chance, Order.TAG: by_tag}
    return sorted(targets, key=keys.get(strategy.order, lambda one: (one.device_name, one.id)))


def none_matched(found: Reach) -> InvalidInput:
    """What to answer when nothing is reached."""
    if not found.excluded:
        return InvalidInput("No device matches.", code="no_device_matched")
    [first, *others] = found.excluded
    more = f", and {len(others)} more are left out" if others else ""
    text = f"No device can be given this: {first.device_name or f'device {first.id}'}: {first.why.rstrip('.')}{more}."
    return InvalidInput(text, code="no_device_matched")


def _left_out(asking: Asking, row: Any) -> str:
    if not row.may_run:
        return _ONLY_SEEN
    if row.trust != Trust.TRUSTED or row.public_key is None:
        return _WHY[Trust.UNVERIFIED] if row.trust == Trust.TRUSTED else _WHY[Trust(row.trust)]
    if all(row.facts.get(name) == value for name, value in WATCHES_ONLY.items()):
        return _WATCHES
    if any(row.facts.get(name) != value for name, value in TAKES_RELEASES.items()):
        return _TOO_OLD
    manifest = asking.release.manifest
    if manifest.kind is Kind.AGENT and any(row.facts.get(name) != value for name, value in TAKES_UPDATES.items()):
        return _NO_ROOT
    if not manifest.runs_on(row.platform, row.facts.get("arch", "")):
        arch = row.facts.get("arch", "")
        is_on = f"{row.platform}/{arch}" if arch else row.platform
        return f"the release is for {', '.join(manifest.platforms)}, and this is {is_on}"
    return _policy_refuses(row.policy, asking)


def _policy_refuses(reported: str, asking: Asking) -> str:
    """Why the policy that the machine reported will not take this release at any hour; empty if it may."""
    report = _report_of(reported)
    if report is None:
        return ""
    if report.stop:
        return f"work there is stopped by the file {report.stop}"
    if report.error or report.rules is None:
        return "its policy cannot be used, so nothing runs there"
    refusal = not_yet(report.rules, len(asking.release.signatures), asking.now)
    if refusal and refusal.code is not TaskCode.POLICY_HOURS:
        return _there(refusal.message)
    forbidden = release_forbidden(report.rules, asking.release.manifest, report.user)
    return _there(forbidden.message) if forbidden else _unsigned(report.rules, asking)


def _unsigned(policy: Policy, asking: Asking) -> str:
    if policy.release_demand is not Releases.SIGNED:
        return ""
    known = {one.key_id for one in policy.operator if one.until is None or asking.now < one.until}
    count = len(known & asking.release.key_ids)
    if count >= policy.threshold:
        return ""
    needs = "a signature" if policy.threshold == 1 else f"{policy.threshold} signatures"
    return f"its policy asks for {needs} of operators that it knows, and this has {count or 'none'}"


def _hours_closed(reported: str, asking: Asking) -> bool:
    report = _report_of(reported)
    rules = report.rules if report else None
    return bool(rules and rules.hours and rules.hours.opens_at(asking.now) > asking.now)


def _keeps_it(reported: str, asking: Asking) -> bool:
    """Whether a deployment that goes back when too much fails asks for what the machine does not do."""
    if asking.strategy.on_failure is not OnFailure.ROLL_BACK:
        return False
    report = _report_of(reported)
    previous = asking.release.manifest.previous
    back_to = previous.sha256 if previous else ""
    rules = report.rules if report else None
    return bool(rules and not_taken_back(rules, Action.REVERT, asking.release.manifest, back_to))


def _there(message: str) -> str:
    return message.replace("The policy of this machine", "its policy", 1).rstrip(".")


async def _busy(session: AsyncSession, name: str, device_ids: Sequence[int]) -> dict[int, str]:
    """Devices on which another deployment of the same release name is not done, with the sentence."""
    unsettled = sa.or_(DeploymentTarget.todo != "", DeploymentTarget.state.in_([state.value for state in IN_FLIGHT]))
    query = (
        sa.select(DeploymentTarget.device_id, Deployment.release_version)
        .join(Deployment, Deployment.id == DeploymentTarget.deployment_id)
        .where(
            Deployment.state.in_(UNFINISHED),
            Deployment.release_name == name,
            unsettled,
            among(DeploymentTarget.__table__.c.device_id, "ids"),
        )
    )
    rows = await session.execute(query, {"ids": sorted(device_ids)})
    return {row[0] or 0: f"a deployment of {name} {row[1]} is not done with it" for row in rows}


def _says(fact: dict[str, str]) -> sa.ColumnElement[bool]:
    return sa.and_(*(Device.facts[name].as_string() == value for name, value in fact.items()))


def _query(scope: Scope, *, lock: bool) -> sa.Select[*tuple[Any, ...]]:
    query = scope.limit(
        sa.select(
            Device.id,
            Device.device_name,
            Device.status,
            Device.node_id,
            Device.platform,
            Device.hostname,
            Device.user_id,
            Device.trust,
            Device.public_key,
            Device.facts,
            Device.tags,
            Device.agent_tags,
            Device.policy,
            scope.holds(Right.RUN).label("may_run"),
        )
    ).order_by(Device.id)
    return query.with_for_update(read=True, key_share=True, of=Device) if lock else query
