"""Starting runs: preview, start, retry.

Invariants: a run and all of its tasks are committed before anyone hears of them; under one idempotency key a user gets
one run, however many requests come at once; what a preview shows is what a run would reach at that moment.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.audit.actions import Action, numbers
from app.clock import Clock, utcnow
from app.db import Database
from app.devices.scope import Scope
from app.errors import Conflict, InvalidInput, NotFound
from app.groups.scopes import scope_of
from app.hints import HintKind
from app.ids import new_id, new_ids
from app.settings import CONFIRM_ABOVE
from app.tasks import assignment, signatures, targets
from app.tasks import runs_repository as repository
from app.tasks.models import Run, Script
from app.tasks.new_tasks import NewTask, insert_tasks
from app.tasks.schemas import LISTED_MAX, RETRIED, RunPreview, RunRequest, Targets
from app.tasks.signatures import Signed
from app.tasks.targets import Excluded, Reach
from app.tasks.views import run_view
from app.tasks.work import Work, asks_for_something, work_of
from app.uow import Unit, UnitOfWork
from deployx_protocol.signed_runs import key_id
from deployx_protocol.task_messages import RunView
from deployx_protocol.tasks import TaskState

log = structlog.get_logger()

KEY_MAX = 200
_WHAT = (
    "kind",
    "title",
    "argv",
    "shell",
    "interpreter",
    "args",
    "run_as",
    "cwd",
    "env",
    "timeout_s",
    "max_parallel",
    "output_quota_bytes",
)
"""What is done, as it stands in ``Work`` and in the columns of a run."""
_SCRIPT = ("script_sha256", "script_size")
_ATTEMPTS = 3
"""To commit beside someone who does the same; the second finds what the first committed."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run that is committed, whom it leaves out, how many of its devices are online, what one should know of it."""

    run: RunView
    excluded: list[Excluded]
    online: int
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Demand:
    """How often a request may come: the key that names it, and what it is."""

    key: str | None
    request_sha256: str

    @classmethod
    def of(cls, key: str | None, request: Any) -> "Demand":
        """``request`` is plain JSON. Raises InvalidInput for a key that cannot be kept."""
        if key is not None and (not 0 < len(key) <= KEY_MAX or not (key.isascii() and key.isprintable())):
            raise InvalidInput(
                f"Idempotency-Key has to be 1 to {KEY_MAX} printable ASCII characters.", code="invalid_idempotency_key"
            )
        return cls(key, hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest())


class RunService:
    """Runs that a principal starts on devices of theirs."""

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        live_nodes: Callable[[], Collection[str]],
        default_quota_bytes: int,
        clock: Clock = utcnow,
        confirm_above: int = CONFIRM_ABOVE,
    ) -> None:
        self._uow = uow
        self._db = db
        self._live_nodes = live_nodes
        self._default_quota_bytes = default_quota_bytes
        self._clock = clock
        self._confirm_above = confirm_above

    async def preview(self, principal: Principal, request: RunRequest) -> RunPreview:
        """Whom a run would reach. What to run may be left out. Raises InvalidInput."""
        work = work_of(request, self._default_quota_bytes) if asks_for_something(request) else None
        signed = signatures.opened(request.envelope)
        async with self._db.read() as session:
            found = await targets.reach(session, principal, request.targets, self._live_nodes())
        return RunPreview.model_validate(
            {
                "total": len(found.targets),
                "online": found.online,
                "offline": len(found.targets) - found.online,
                "devices": [
                    {
                        "id": one.id,
                        "device_name": one.device_name,
                        "status": one.status,
                        "hostname": one.hostname,
                        "key_id": key_id(one.public_key),
                    }
                    for one in found.targets[:LISTED_MAX]
                ],
                "excluded_total": len(found.excluded),
                "excluded": [
                    {"id": one.id, "device_name": one.device_name, "why": one.why}
                    for one in found.excluded[:LISTED_MAX]
                ],
                "warnings": self._warnings(found, work, signed),
            }
        )

    async def start(self, principal: Principal, request: RunRequest, key: str | None = None) -> Started:
        """A run, committed with all of its tasks. Raises InvalidInput, and Conflict for a key with another request."""
        work = work_of(request, self._default_quota_bytes)
        targets.check(request.targets)
        signed = signatures.opened(request.envelope)

        async def make(unit: Unit) -> Started:
            found = await targets.reach(unit.session, principal, request.targets, self._live_nodes(), lock=True)
            if not found.targets:
                raise targets.none_matched(found)
            expires, said = timedelta(seconds=work.expires_s), signatures.columns(signed, found.targets)
            if signed:
                expires = min(expires, await self._check(unit.session, signed, work, found))
            what = _columns(work, _WHAT) | said
            run = self._run(principal, demand, expires, selector=request.targets.selector, **what)
            if work.script is not None:
                await _keep(unit, work, run)
            return await self._save(unit, principal, run, warned(found))

        async def again(session: AsyncSession) -> Reach:
            return warned(await targets.reach(session, principal, request.targets, self._live_nodes()))

        def warned(found: Reach) -> Reach:
            return replace(found, warnings=self._warnings(found, work, signed))

        demand = Demand.of(key, _plain(request))
        return await self._once(principal, demand, make, again)

    async def retry(
        self, principal: Principal, run_id: str, states: Sequence[TaskState], key: str | None = None
    ) -> Started:
        """A new run of the same work on those devices of a run whose task ended in one of ``states``.

        Raises NotFound, InvalidInput, and Conflict for a key with another request.
        """
        if not states or not set(states) <= set(RETRIED):
            raise InvalidInput(f"`states` has to name some of: {', '.join(RETRIED)}.", code="invalid_states")

        async def make(unit: Unit) -> Started:
            scope = await scope_of(unit.session, principal, lock=True)
            earlier = await repository.run(unit.session, scope, run_id)
            if earlier is None:
                raise NotFound("There is no such run.")
            if earlier.release is not None:
                raise Conflict("This run belongs to a deployment: try again there what failed.")
            if earlier.envelope is not None:
                raise InvalidInput(
                    "A signed run is good for once. To repeat it, sign it anew: `deployx run --sign`.",
                    code="signed_run",
                )
            found = await self._repeated(unit.session, scope, run_id, states, lock=True)
            if not found.targets and not found.excluded:
                text = f"No task of this run is {' or '.join(states)}; there is nothing to repeat."
                raise InvalidInput(text, code="no_device_matched")
            if not found.targets:
                raise targets.none_matched(found)
            expires = earlier.expires_at - earlier.created_at
            same = _columns(earlier, _WHAT + _SCRIPT)
            run = self._run(principal, demand, expires, retry_of=run_id, **same)
            return await self._save(unit, principal, run, found)

        async def again(session: AsyncSession) -> Reach:
            return await self._repeated(session, await scope_of(session, principal), run_id, states)

        demand = Demand.of(key, {"retry_of": run_id, "states": sorted(set(states))})
        return await self._once(principal, demand, make, again)

    # ------------------------------------------------------------ what is signed

    async def _check(self, session: AsyncSession, signed: Signed, work: Work, found: Reach) -> timedelta:
        """How long ``signed`` still holds. Raises InvalidInput, and Conflict if it was used for another run."""
        now = self._clock()
        signatures.check(signed, work, found.targets, now)
        if await repository.with_number(session, signed.run.number):
            raise Conflict("This signature was used for another run, and is good for once.", code="envelope_used")
        return signed.run.expires_at - now

    def _warnings(self, found: Reach, work: Work | None, signed: Signed | None) -> list[str]:
        return targets.warnings(found, work) + signatures.foretold(found.targets, work, signed, self._clock())

    # ------------------------------------------------------------ once for each key

    async def _once(
        self,
        principal: Principal,
        demand: Demand,
        make: Callable[[Unit], Awaitable[Started]],
        again: Callable[[AsyncSession], Awaitable[Reach]],
    ) -> Started:
        for attempt in range(_ATTEMPTS):
            try:
                async with self._uow.begin() as unit:
                    earlier = await self._earlier(unit.session, principal, demand)
                    if earlier is None:
                        return await make(unit)
            except IntegrityError:
                # another request with this key, or a device or script that went, was committed meanwhile
                if attempt == _ATTEMPTS - 1:
                    raise Conflict("What this run needs changes all the time; try again.") from None
            else:
                return await self._as_before(earlier, again)
        raise AssertionError("unreachable")

    async def _earlier(self, session: AsyncSession, principal: Principal, demand: Demand) -> Run | None:
        if demand.key is None:
            return None
        earlier = await repository.by_key(session, principal.user_id, demand.key)
        if earlier and earlier.request_sha256 != demand.request_sha256:
            raise Conflict(
                "This Idempotency-Key was used for another request; use a new one for each run.",
                code="idempotency_key_reused",
            )
        return earlier

    async def _as_before(self, run: Run, again: Callable[[AsyncSession], Awaitable[Reach]]) -> Started:
        """The answer to a repeat: the run as it is now, and whom it leaves out, as far as that still holds."""
        async with self._db.read() as session:
            counts = await repository.counts(session, [run.id])
            reached = await repository.devices_of(session, run.id)
            try:
                found = await again(session)
            except InvalidInput:  # a group that the selector names may have gone
                found = Reach()
        excluded = [one for one in found.excluded if one.id not in reached]
        return Started(run_view(run, counts[run.id]), excluded, found.online, found.warnings)

    # ------------------------------------------------------------ rows

    def _run(self, principal: Principal, demand: Demand, expires: timedelta, **columns: Any) -> Run:
        now = self._clock()
        return Run(
            **columns,
            id=new_id(),
            user_id=principal.user_id,
            created_by=principal.email,
            idempotency_key=demand.key,
            request_sha256=demand.request_sha256,
            created_at=now,
            expires_at=now + expires,
        )

    async def _save(self, unit: Unit, principal: Principal, run: Run, found: Reach) -> Started:
        if run.envelope is not None and not assignment.fits(run):
            raise InvalidInput(
                "What is signed is too large to be sent to a device; choose fewer devices, or put what is long into a "
                "script.",
                code="envelope_too_large",
            )
        run.total = len(found.targets)
        if run.total > self._confirm_above:
            require_proof(principal, self._clock(), f"A run on {run.total} devices")
        run.rev = 1
        unit.session.add(run)
        await unit.session.flush()
        made = [
            NewTask(id, target.id, target.device_name, target.owner_id != run.user_id)
            for id, target in zip(new_ids(run.total), found.targets, strict=True)
        ]
        await insert_tasks(unit.session, run.id, made, run.created_at, run.expires_at)
        unit.record(
            principal.actor,
            Action.RUN_STARTED,
            run.id,
            run.title,
            kind=run.kind,
            script_sha256=run.script_sha256,
            run_as=run.run_as,
            selector=run.selector,
            retry_of=run.retry_of,
            signed_by=", ".join(one["key_id"] for one in run.signed_by or ()) or None,
            devices=numbers(target.id for target in found.targets),
        )
        unit.hint(HintKind.RUN, run_id=run.id)
        for target in found.targets:
            unit.hint(HintKind.TASKS_WAITING, target.id)
        log.info("run.started", run_id=run.id, kind=run.kind, tasks=run.total, user_id=run.user_id)
        view = run_view(run, {TaskState.QUEUED.value: run.total})
        return Started(view, found.excluded, found.online, found.warnings)

    async def _repeated(
        self, session: AsyncSession, scope: Scope, run_id: str, states: Sequence[TaskState], *, lock: bool = False
    ) -> Reach:
        rows = await repository.ended(session, run_id, states)
        names = {device_id: name for device_id, name in rows if device_id is not None}
        found = await targets.of_ids(session, scope, names, self._live_nodes(), lock=lock)
        found.excluded = [
            one if one.device_name else Excluded(one.id, names[one.id or 0], "it is not among your devices any more")
            for one in found.excluded
        ]
        found.excluded += [Excluded(None, name, "it was deleted") for device_id, name in rows if device_id is None]
        return found


def _columns(source: Work | Run, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


async def _keep(unit: Unit, work: Work, run: Run) -> None:
    assert work.script is not None
    run.script_sha256, run.script_size = work.script_sha256, len(work.script)
    script = Script(sha256=run.script_sha256, body=work.script, created_at=run.created_at)
    await repository.keep_script(unit.session, script)


def _plain(request: RunRequest) -> Any:
    plain = request.model_dump(mode="json")
    wanted: Targets = request.targets
    if wanted.device_ids is not None:
        plain["targets"]["device_ids"] = sorted(set(wanted.device_ids))
    return plain
