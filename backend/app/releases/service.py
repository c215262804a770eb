"""Releases: brought here, signed, looked at, deleted.

Invariants: the same payload is one release, however often it is sent; of a name, each release has a greater number than
any before it, and they are one user's (an administrator may step in); what a release needs is there as long as it is.
"""

import base64

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.principal import Principal
from app.artifacts import uses
from app.audit.actions import Action
from app.clock import Clock, utcnow
from app.db import Database
from app.errors import Conflict, DeployXError, Forbidden, InvalidInput, NotFound
from app.groups.scopes import scope_of
from app.ids import new_id
from app.releases import repository
from app.releases.envelopes import Opened, check_form, check_known, is_good, opened
from app.releases.models import Release
from app.releases.schemas import (
    MissingArtifact,
    ReleaseCheck,
    ReleaseDeployment,
    ReleaseDetail,
    ReleaseInput,
    ReleaseList,
    ReleaseProblem,
    ReleaseSignature,
    ReleaseView,
)
from app.releases.views import known_keys, view_of
from app.uow import Unit, UnitOfWork
from deployx_protocol import dsse, releases
from deployx_protocol.releases import PAYLOAD_TYPE

_DEPLOYMENTS_SHOWN = 20


class ReleaseService:
    """Everybody who may see releases sees all of them; of what devices and deployments say, only what is theirs."""

    def __init__(self, uow: UnitOfWork, db: Database, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._clock = clock

    async def check(self, principal: Principal, body: ReleaseInput) -> ReleaseCheck:
        """What would become of ``body``. Raises InvalidInput for what is no release at all."""
        sent = opened(body)
        async with self._db.read(at_one_moment=True) as session:
            there = await repository.by_sha256(session, sent.sha256)
            missing = [] if there else await _missing(session, sent)
            problem: DeployXError | None = None
            try:
                check_known(
                    sent.payload, sent.signatures, await known_keys(session, await scope_of(session, principal))
                )
                if there is None:
                    await _must_fit(session, principal, sent)
            except DeployXError as error:
                problem = error
        return ReleaseCheck(
            sha256=sent.sha256,
            exists=there.id if there else None,
            missing=missing,
            problem=ReleaseProblem(code=problem.specific_code, message=problem.message) if problem else None,
        )

    async def create(self, principal: Principal, body: ReleaseInput) -> tuple[ReleaseDetail, bool]:
        """The release ``body``, and whether it is new: one that is there gets the signatures that it does not have.

        Raises InvalidInput, Forbidden for a name of somebody else, and Conflict.
        """
        sent = opened(body)
        try:
            return await self._create(principal, sent)
        except IntegrityError:  # another request was first, with the same number, version or payload
            return await self._create(principal, sent)

    async def _create(self, principal: Principal, sent: Opened) -> tuple[ReleaseDetail, bool]:
        manifest = sent.manifest
        async with self._uow.begin() as unit:
            await repository.hold_name(unit.session, manifest.name)
            there = await repository.by_sha256(unit.session, sent.sha256)
            if there:
                added = await self._sign(unit.session, principal, there.id, sent.signatures)
                if added:
                    _record_signed(unit, principal, there, added)
                return await self._detail(unit.session, principal, there.id), False
            check_known(
                sent.payload, sent.signatures, await known_keys(unit.session, await scope_of(unit.session, principal))
            )
            await _must_fit(unit.session, principal, sent)
            await uses.take(unit.session, sent.sha256, {one.sha256: one.size for one in manifest.artifacts})
            row = Release(
                id=new_id(),
                name=manifest.name,
                version=manifest.version,
                number=manifest.number,
                kind=manifest.kind.value,
                platforms=manifest.platforms,
                description=manifest.description,
                artifacts_bytes=sum(one.size for one in manifest.artifacts),
                sha256=sent.sha256,
                size=len(sent.payload),
                payload=sent.payload,
                signatures=[one.model_dump() for one in sent.signatures],
                previous_sha256=manifest.previous.sha256 if manifest.previous else None,
                user_id=principal.user_id,
                created_by=principal.email,
                created_at=self._clock(),
            )
            unit.session.add(row)
            await unit.session.flush()
            unit.record(
                principal.actor,
                Action.RELEASE_CREATED,
                row.id,
                f"{row.name}@{row.version}",
                number=row.number,
                sha256=row.sha256,
                keys=[one.keyid for one in sent.signatures],
            )
            return await self._detail(unit.session, principal, row.id), True

    async def sign(self, principal: Principal, release_id: str, signatures: list[ReleaseSignature]) -> ReleaseDetail:
        """Add signatures. Raises NotFound, InvalidInput, and Conflict for another one of a key that has signed."""
        check_form(signatures)
        async with self._uow.begin() as unit:
            added = await self._sign(unit.session, principal, release_id, signatures)
            row = await repository.whole(unit.session, release_id)
            if added and row:
                _record_signed(unit, principal, row, added)
            return await self._detail(unit.session, principal, release_id)

    async def _sign(
        self, session: AsyncSession, principal: Principal, release_id: str, signatures: list[ReleaseSignature]
    ) -> list[str]:
        row = await repository.whole(session, release_id, lock=True)
        if row is None:
            raise _no_such()
        keys = await known_keys(session, await scope_of(session, principal))
        check_known(row.payload, signatures, keys)
        held = {one["keyid"]: one["sig"] for one in row.signatures}
        new = [one for one in signatures if held.get(one.keyid) != one.sig]
        for one in new:
            if one.keyid in held and not is_good(row.payload, one, keys):
                raise Conflict(
                    f"The key {one.keyid} has signed this otherwise, and the server does not know which is good.",
                    code="signed_already",
                )
        held |= {one.keyid: one.sig for one in new}
        if len(held) > dsse.SIGNATURES_MAX:
            raise Conflict(f"A release has at most {dsse.SIGNATURES_MAX} signatures.", code="too_many_signatures")
        if new:
            row.signatures = [{"sig": sig, "keyid": keyid} for keyid, sig in held.items()]
            await session.flush()
        return [one.keyid for one in new]

    async def page(
        self,
        principal: Principal,
        *,
        name: str | None,
        version: str | None,
        search: str | None,
        limit: int,
        cursor: str | None,
    ) -> ReleaseList:
        """One page of releases, newest first. Raises InvalidInput for a bad cursor."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            rows, following = await repository.page(
                session, scope, name=name, version=version, search=search, limit=limit, cursor=cursor
            )
            keys = await known_keys(session, scope) if any(row.release.signatures for row in rows) else {}
        return ReleaseList(items=[ReleaseView(**view_of(row, keys)) for row in rows], next_cursor=following)

    async def get(self, principal: Principal, release_id: str) -> ReleaseDetail:
        """One release. Raises NotFound."""
        async with self._db.read(at_one_moment=True) as session:
            return await self._detail(session, principal, release_id)

    async def delete(self, principal: Principal, release_id: str) -> None:
        """Forget a release. What it brought along is deleted later, unless another one needs it.

        Raises NotFound, Forbidden for somebody else's, and Conflict while a deployment or a later release needs it.
        """
        async with self._uow.begin() as unit:
            row = await repository.whole(unit.session, release_id, lock=True)
            if row is None:
                raise _no_such()
            if row.user_id != principal.user_id and not principal.is_admin:
                raise Forbidden(f"{row.name}@{row.version} was made by {row.created_by}; they may delete it.")
            if await repository.deployed(unit.session, row.sha256):
                raise Conflict(
                    f"{row.name}@{row.version} was deployed: devices may have to go back to it, and people look it up.",
                    code="release_deployed",
                )
            later = await repository.following(unit.session, row.sha256)
            if later:
                raise Conflict(
                    f"{row.name}@{later} goes back to {row.version}; delete that one first.", code="release_needed"
                )
            await uses.drop(unit.session, [row.sha256], self._clock())
            await unit.session.delete(row)
            unit.record(principal.actor, Action.RELEASE_DELETED, row.id, f"{row.name}@{row.version}", sha256=row.sha256)

    async def _detail(self, session: AsyncSession, principal: Principal, release_id: str) -> ReleaseDetail:
        scope = await scope_of(session, principal)
        rows = await repository.rows(session, scope, Release.id == release_id, limit=1)
        if not rows:
            raise _no_such()
        row = rows[0].release
        return ReleaseDetail(
            **view_of(rows[0], await known_keys(session, scope) if row.signatures else {}),
            manifest=msgspec.to_builtins(releases.parse(row.payload)),
            payload=base64.b64encode(row.payload).decode(),
            payloadType=PAYLOAD_TYPE,
            signatures=[ReleaseSignature(**one) for one in row.signatures],
            used_by=[
                ReleaseDeployment.model_validate(one)
                for one in await repository.deployments(session, scope, row.sha256, _DEPLOYMENTS_SHOWN)
            ],
        )


async def _must_fit(session: AsyncSession, principal: Principal, sent: Opened) -> None:
    """That ``sent`` may follow the releases of its name, and that what it goes back to is one of them."""
    manifest = sent.manifest
    if not principal.is_admin and await repository.others_have(session, manifest.name, principal.user_id):
        raise Forbidden(f"Releases named {manifest.name} are somebody else's; choose another name.", code="name_taken")
    if await repository.version_taken(session, manifest.name, manifest.version):
        raise Conflict(
            f"There is a {manifest.name}@{manifest.version} already, with other content; give this another version.",
            code="version_taken",
        )
    newest = await repository.newest(session, manifest.name)
    if newest and newest.number >= manifest.number:
        raise Conflict(
            f"This is number {manifest.number}, and {manifest.name}@{newest.version} has number {newest.number}; "
            f"make it anew with a greater one.",
            code="number_taken",
        )
    previous = manifest.previous
    if previous is None:
        return
    before = await repository.by_sha256(session, previous.sha256)
    if before is None:
        raise InvalidInput(f"The previous release, {previous.version}, is not here.", code="previous_unknown")
    if (before.name, before.version, before.size) != (manifest.name, previous.version, previous.size):
        raise InvalidInput(
            f"What this names as its previous release is {before.name}@{before.version}.", code="previous_unknown"
        )


async def _missing(session: AsyncSession, sent: Opened) -> list[MissingArtifact]:
    there = await repository.sizes(session, {one.sha256 for one in sent.manifest.artifacts})
    return [
        MissingArtifact(name=one.name, sha256=one.sha256, size=one.size)
        for one in sent.manifest.artifacts
        if there.get(one.sha256) != one.size
    ]


def _record_signed(unit: Unit, principal: Principal, row: Release, keys: list[str]) -> None:
    unit.record(principal.actor, Action.RELEASE_SIGNED, row.id, f"{row.name}@{row.version}", keys=keys)


def _no_such() -> NotFound:
    return NotFound("There is no such release.")
