"""Releases as people are shown them, with the names that devices' policies have for the keys that signed."""

from functools import lru_cache
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.devices.scope import Scope
from app.releases import repository
from app.releases.envelopes import Key, is_good
from app.releases.repository import Row
from app.releases.schemas import PreviousView, ReleaseSignature, Signer
from deployx_protocol.policy import report_of

_report_of = lru_cache(maxsize=1_024)(report_of)


async def known_keys(session: AsyncSession, scope: Scope) -> dict[str, Key]:
    """The keys that the policies of devices in ``scope`` name, by their ids."""
    keys: dict[str, Key] = {}
    for text in await repository.policies(session, scope):
        report = _report_of(text)
        for one in report.rules.operator if report and report.rules else ():
            keys.setdefault(one.key_id, Key(one.name, one.key))
    return keys


def view_of(row: Row, keys: dict[str, Key]) -> dict[str, Any]:
    """The fields of a ``ReleaseView``."""
    release = row.release
    signatures = [ReleaseSignature(**one) for one in release.signatures]
    return {
        "id": release.id,
        "name": release.name,
        "version": release.version,
        "number": release.number,
        "kind": release.kind,
        "platforms": release.platforms,
        "description": release.description,
        "sha256": release.sha256,
        "size": release.size,
        "artifacts_bytes": release.artifacts_bytes,
        "signers": [
            Signer(
                key_id=one.keyid,
                name=keys[one.keyid].name if one.keyid in keys else "",
                good=is_good(release.payload, one, keys),
            )
            for one in signatures
        ],
        "previous": PreviousView(id=row.previous.id, version=row.previous.version, number=row.previous.number)
        if row.previous
        else None,
        "created_by": release.created_by,
        "created_at": release.created_at,
        "deployments": row.deployments,
    }
