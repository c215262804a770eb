"""Starting deployments: preview and create.

Invariants: a deployment and all of its targets are committed before anyone hears of them; under one idempotency key a
user gets one deployment; what a preview shows is what the deployment would be at that moment, and what is approved is
what runs: devices, release, signatures and strategy are written down once, and hashed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.audit.actions import Action, numbers
from app.clock import Clock, utcnow
from app.db import Database, in_turn
from app.deployments import moves, repository, targets, waves
from app.deployments.joining import new_target
from app.deployments.models import Deployment
from app.deployments.schemas import DeploymentPreview, DeploymentRequest
from app.deployments.strategy import Strategy, strategy_of, to_json
from app.deployments.targets import Asking, Reach
from app.deployments.waves import KeptWave
from app.errors import Conflict, InvalidInput
from app.groups.scopes import scope_of
from app.ids import new_id
from app.releases import lookup
from app.releases.lookup import Found
from app.settings import CONFIRM_ABOVE
from app.tasks import targets as run_targets
from app.tasks.runs import Demand
from app.tasks.schemas import LISTED_MAX
from app.tasks.targets import Excluded
from app.uow import Unit, UnitOfWork
from deployx_protocol.deployments import DeploymentState
from deployx_protocol.releases import Kind

log = structlog.get_logger()

_ATTEMPTS = 3
"""To commit beside someone who does the same; the second finds what the first committed."""
_INSERTED = 1_000
_KEYS_LOCK = 0x44586B65  # of no other part
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Created:
    """A deployment that is committed, whom it leaves out, and what one should know of it."""

    id: str
    excluded: list[Excluded]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class _Intended:
    """What would happen."""

    release: Found
    strategy: Strategy
    reach: Reach
    waves: list[KeptWave]
    sizes: list[int]
    plan_hash: str

    @property
    def total(self) -> int:
        return len(self.reach.targets)

    def wave_of(self) -> list[int]:
        """The wave of each target, in their order."""
        return [wave.number for wave, size in zip(self.waves, self.sizes, strict=True) for _ in range(size)]


class Starting:
    """Deployments that a principal starts on devices of theirs. ``approve_above``: to more devices only with the word
    of a second person; 0: never."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        live_nodes: Callable[[], Collection[str]],
        *,
        approve_above: int = 0,
        confirm_above: int = CONFIRM_ABOVE,
        clock: Clock = utcnow,
    ) -> None:
        self._uow = uow
        self._db = db
        self._live_nodes = live_nodes
        self._approve_above = approve_above
        self._confirm_above = confirm_above
        self._clock = clock

    async def preview(self, principal: Principal, request: DeploymentRequest) -> DeploymentPreview:
        """What a deployment would reach. Raises InvalidInput, NotFound for a release that is not there."""
        strategy = _checked(request)
        async with self._db.read() as session:
            meant = await self._intended(session, principal, request, strategy)
        manifest, numbers_of = meant.release.manifest, meant.wave_of()
        return DeploymentPreview.model_validate(
            {
                "release": {
                    "name": manifest.name,
                    "version": manifest.version,
                    "number": manifest.number,
                    "sha256": meant.release.sha256,
                    "kind": manifest.kind.value,
                    "platforms": manifest.platforms,
                    "signatures": len(meant.release.key_ids),
                },
                "total": meant.total,
                "online": meant.reach.online,
                "offline": meant.total - meant.reach.online,
                "devices": [
                    {
                        "id": one.id,
                        "device_name": one.device_name,
                        "status": one.status,
                        "hostname": one.hostname,
                        "wave": wave,
                    }
                    for one, wave in zip(meant.reach.targets[:LISTED_MAX], numbers_of, strict=False)
                ],
                "waves": [
                    {"number": wave.number, "label": wave.label, "total": size}
                    for wave, size in zip(meant.waves, meant.sizes, strict=True)
                ],
                "excluded_total": len(meant.reach.excluded),
                "excluded": [
                    {"id": one.id, "device_name": one.device_name, "why": one.why}
                    for one in meant.reach.excluded[:LISTED_MAX]
                ],
                "warnings": meant.reach.warnings,
                "plan_hash": meant.plan_hash,
                "needs_approval": self._needs_approval(request, meant.total),
                "approval_above": self._approve_above,
            }
        )

    async def create(self, principal: Principal, request: DeploymentRequest, key: str | None) -> Created:
        """A deployment, committed with its targets. Raises InvalidInput, NotFound, ProofRequired, and Conflict for a
        key with another request."""
        strategy = _checked(request)
        demand = Demand.of(key, _plain(request))
        for attempt in range(_ATTEMPTS):
            try:
                async with self._uow.begin() as unit:
                    earlier = await self._earlier(unit.session, principal, demand)
                    if earlier is not None:
                        return Created(earlier, [], [])
                    meant = await self._intended(unit.session, principal, request, strategy, lock=True)
                    if not meant.reach.targets and not request.following:
                        raise targets.none_matched(meant.reach)
                    deployment_id = await self._save(unit, principal, request, demand, meant)
                    return Created(deployment_id, meant.reach.excluded, meant.reach.warnings)
            except IntegrityError:  # another request with this key, or a device that went, was committed meanwhile
                if attempt == _ATTEMPTS - 1:
                    raise Conflict("What this deployment needs changes all the time; try again.") from None
        raise AssertionError("unreachable")

    # ------------------------------------------------------------ parts of these

    def _needs_approval(self, request: DeploymentRequest, total: int) -> bool:
        return self._approve_above > 0 and (total > self._approve_above or request.following)

    async def _intended(
        self,
        session: AsyncSession,
        principal: Principal,
        request: DeploymentRequest,
        strategy: Strategy,
        *,
        lock: bool = False,
    ) -> _Intended:
        release = await _release(session, request.release, hold=lock)
        strategy = _as_usual(strategy, request, release)
        scope = await scope_of(session, principal, lock=lock)
        asking = Asking(scope, principal.user_id, release, strategy, self._live_nodes(), self._clock())
        found = await targets.reach(session, asking, request.targets, lock=lock)
        kept, sizes = waves.planned(strategy, len(found.targets), following=request.following)
        return _Intended(release, strategy, found, kept, sizes, _hash(release, request, strategy, found))

    async def _earlier(self, session: AsyncSession, principal: Principal, demand: Demand) -> str | None:
        """What this key made already. A request that is still at it is waited for: its devices would be left out here,
        as those of another deployment."""
        if demand.key is None:
            return None
        await in_turn(session, _KEYS_LOCK, f"{principal.user_id} {demand.key}")
        query = sa.select(Deployment.id, Deployment.request_sha256).where(
            Deployment.user_id == principal.user_id, Deployment.idempotency_key == demand.key
        )
        earlier = (await session.execute(query)).one_or_none()
        if earlier is None:
            return None
        if earlier.request_sha256 != demand.request_sha256:
            raise Conflict(
                "This Idempotency-Key was used for another request; use a new one for each deployment.",
                code="idempotency_key_reused",
            )
        found: str = earlier.id
        return found

    async def _save(
        self, unit: Unit, principal: Principal, request: DeploymentRequest, demand: Demand, meant: _Intended
    ) -> str:
        now = self._clock()
        if meant.total > self._confirm_above:
            require_proof(principal, now, f"A deployment to {meant.total} devices")
        waits = self._needs_approval(request, meant.total)
        manifest, seconds = meant.release.manifest, meant.strategy.deadline_s
        deployment = Deployment(
            id=new_id(),
            user_id=principal.user_id,
            created_by=principal.email,
            state=(DeploymentState.AWAITING_APPROVAL if waits else DeploymentState.RUNNING).value,
            reason="",
            release_name=manifest.name,
            release_version=manifest.version,
            release_number=manifest.number,
            release_sha256=meant.release.sha256,
            release_size=meant.release.size,
            release_platforms=manifest.platforms,
            release_timeout_s=manifest.timeout_s,
            signatures=[{"sig": one.sig, "keyid": one.keyid} for one in meant.release.signatures],
            selector=request.targets.selector,
            following=request.following,
            strategy=to_json(meant.strategy),
            waves=[],
            plan_hash=meant.plan_hash,
            approval_above=self._approve_above if waits else 0,
            idempotency_key=demand.key,
            request_sha256=demand.request_sha256,
            created_at=now,
            moved_at=now,
            started_at=None if waits else now,
            deadline_at=None if waits or seconds is None else now + timedelta(seconds=seconds),
            total=meant.total,
            rev=1,
        )
        waves.write(deployment, meant.waves)
        unit.session.add(deployment)
        await unit.session.flush()
        placed = zip(meant.reach.targets, meant.wave_of(), strict=True)
        rows = [new_target(deployment, one, wave, place, now) for place, (one, wave) in enumerate(placed, 1)]
        connection = await unit.session.connection()
        for start in range(0, len(rows), _INSERTED):
            await connection.execute(sa.insert(repository.TARGETS), rows[start : start + _INSERTED])
        text = f"To {meant.total} devices in {len(meant.waves)} waves."
        repository.decide(unit.session, deployment.id, "created", text, now, actor=principal.email)
        unit.record(
            principal.actor,
            Action.DEPLOYMENT_CREATED,
            deployment.id,
            moves.title(deployment),
            sha256=meant.release.sha256,
            plan_hash=meant.plan_hash,
            waits_for_approval=waits,
            selector=request.targets.selector,
            following=request.following,
            devices=numbers(one.id for one in meant.reach.targets),
        )
        moves.changed(unit, deployment)
        log.info("deployment.created", deployment_id=deployment.id, targets=meant.total, user_id=principal.user_id)
        return deployment.id


def _checked(request: DeploymentRequest) -> Strategy:
    run_targets.check(request.targets)
    if request.following and request.targets.selector is None:
        raise InvalidInput(
            "`following` goes with a `selector`: nobody joins a list.", code="following_without_selector"
        )
    return strategy_of(request.strategy)


def _as_usual(strategy: Strategy, request: DeploymentRequest, release: Found) -> Strategy:
    """What is not said for a new version of the agent: a canary, and no next wave before all of one have it."""
    said = request.strategy.model_fields_set
    if release.manifest.kind is not Kind.AGENT:
        return strategy
    usual = {"waves": ["1", "10%", "100%"], "healthy_percent": 100.0}
    return msgspec.structs.replace(strategy, **{name: value for name, value in usual.items() if name not in said})


async def _release(session: AsyncSession, called: str, *, hold: bool) -> Found:
    if _SHA256.fullmatch(called):
        return await lookup.by_sha256(session, called, hold=hold)
    name, at, version = called.partition("@")
    if not (name and at and version):
        raise InvalidInput(
            f"`release` has {called[:40]!r}; write NAME@VERSION, or the SHA-256 of its payload.", code="invalid_release"
        )
    return await lookup.by_name(session, name, version, hold=hold)


def _hash(release: Found, request: DeploymentRequest, strategy: Strategy, found: Reach) -> str:
    what = {
        "release": release.sha256,
        "signatures": sorted(one.sig for one in release.signatures),
        "devices": [one.id for one in found.targets],
        "selector": request.targets.selector if request.following else None,
        "strategy": to_json(strategy),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _plain(request: DeploymentRequest) -> Any:
    plain = request.model_dump(mode="json")
    if request.targets.device_ids is not None:
        plain["targets"]["device_ids"] = sorted(set(request.targets.device_ids))
    return plain
