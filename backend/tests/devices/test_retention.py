"""What is forgotten about devices, when, and what that must not touch."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.db import Database
from app.devices.models import Claim, Device, EnrollmentToken, RefusedKey, StatusEvent
from app.devices.retention import RetentionService
from app.hints import Hint, HintKind
from app.settings import Settings
from app.uow import UnitOfWork
from deployx_protocol.states import ClaimKind, DeviceStatus, Trust
from tests.support import rows
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Serve
from tests.support.server import Browse, MakePerson, ManualClock


@pytest.fixture
def retention(uow: UnitOfWork, db: Database, settings: Settings, clock: ManualClock) -> RetentionService:
    """A week for everything, and five refused keys."""
    week = {f"{name}_retention_days": 7 for name in ("status", "claim", "enrollment_token", "pending_device")}
    return RetentionService(uow, db, settings.model_copy(update={**week, "refused_keys_max": 5}), clock)


async def put(db: Database, *made: object) -> None:
    async with db.write() as session:
        session.add_all(made)


async def left(db: Database, column: Any) -> set[str]:
    async with db.read() as session:
        return set(await session.scalars(sa.select(column)))


async def test_status_events_are_kept_for_as_long_as_is_set(
    retention: RetentionService, db: Database, clock: ManualClock
) -> None:
    device = rows.device(1)
    await put(db, device)
    ages = (0, 6.9, 7.1, 100)
    made = [rows.status_event(device, DeviceStatus.OFFLINE, clock() - timedelta(days=n), detail=str(n)) for n in ages]
    await put(db, *made)
    await retention.prune()
    assert await left(db, StatusEvent.detail) == {"0", "6.9"}


async def test_claims_are_kept_until_their_answer_is_old(
    retention: RetentionService, db: Database, clock: ManualClock
) -> None:
    device = rows.device(1)
    await put(db, device)
    old, young = clock() - timedelta(days=7.1), clock() - timedelta(days=6.9)
    answered = ("accepted", "rejected", "moved", "split")
    await put(
        db,
        *(rows.claim(device, state=state, resolved_at=old, hostname="old") for state in answered),
        *(rows.claim(device, state=state, resolved_at=young, hostname=f"young {state}") for state in answered),
        rows.claim(device, created_at=old, last_seen=old, hostname="open"),
        rows.claim(device, state="splitting", resolved_at=old, kind=ClaimKind.CLONED, hostname="splitting"),
    )
    await retention.prune()
    assert await left(db, Claim.hostname) == {"open", "splitting", *(f"young {state}" for state in answered)}


def token(number: int, owner: int, clock: ManualClock, **values: Any) -> EnrollmentToken:
    """A token that is good for a day more."""
    fields: dict[str, Any] = {"name": f"token {number}", "created_at": clock(), "max_uses": 1, "uses": 0}
    fields |= {"id": f"id-{number}", "token_hash": f"hash-{number}", "origin": "http://127.0.0.1:8000"}
    return EnrollmentToken(**fields | {"user_id": owner, "expires_at": clock() + timedelta(days=1)} | values)


async def test_tokens_are_kept_until_their_end_is_old(
    retention: RetentionService, db: Database, clock: ManualClock, person: MakePerson
) -> None:
    ada = await person()
    old, young = clock() - timedelta(days=7.1), clock() - timedelta(days=6.9)
    await put(
        db,
        token(1, ada.id, clock, name="open"),
        token(2, ada.id, clock, name="spent, would still be good", uses=1, created_at=old),
        token(3, ada.id, clock, name="expired lately", expires_at=young),
        token(4, ada.id, clock, name="revoked lately", revoked_at=young),
        token(5, ada.id, clock, name="expired", expires_at=old),
        token(6, ada.id, clock, name="revoked", revoked_at=old),
        token(7, ada.id, clock, name="spent and expired", uses=1, expires_at=old),
    )
    await retention.prune()
    expected = {"open", "spent, would still be good", "expired lately", "revoked lately"}
    assert await left(db, EnrollmentToken.name) == expected


async def test_what_a_forgotten_token_admitted_goes_on(
    retention: RetentionService,
    db: Database,
    clock: ManualClock,
    serve: Serve,
    browse: Browse,
    agent: MakeAgent,
    person: MakePerson,
) -> None:
    ada, node = await person(role=Role.OPERATOR), await serve()
    client = browse(node, ada.bearer)
    made = (await client.post("/api/v1/enrollment-tokens", json={"name": "spent"})).json()
    machine = Machine()
    joined = agent(node, machine)
    await joined.start(enrollment_token=made["token"])
    await joined.close()
    device = (await node.devices())[0]
    await put(db, rows.claim(device, enrollment_token_id=made["id"], user_id=ada.id))
    clock.advance(days=8.1)
    await retention.prune()
    assert await left(db, EnrollmentToken.id) == set()
    assert (await client.get(f"/api/v1/enrollment-tokens/{made['id']}")).status_code == 404
    after = (await node.devices())[0]
    assert (after.id, after.user_id, after.trust, after.enrollment_token_id) == (device.id, ada.id, "trusted", None)
    assert [(claim.state, claim.enrollment_token_id) for claim in await node.claims()] == [("open", None)]
    assert (await agent(node, machine).start())["trust"] == "trusted"


async def test_devices_that_nobody_accepted_are_kept_while_they_are_seen(
    retention: RetentionService,
    db: Database,
    clock: ManualClock,
    person: MakePerson,
    hints: list[Hint],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.devices.retention.BATCH", 3)
    ada = await person()
    old, young = clock() - timedelta(days=7.1), clock() - timedelta(days=6.9)
    strangers: list[dict[str, Any]] = [
        {"trust": trust, "last_seen": old} for trust in (Trust.PENDING, Trust.UNVERIFIED)
    ] * 4
    strangers.append({"trust": Trust.PENDING, "last_seen": None, "created_at": old})
    kept: list[dict[str, Any]] = [
        {"trust": Trust.PENDING, "last_seen": young},
        {"trust": Trust.UNVERIFIED, "last_seen": None, "created_at": young},
        {"trust": Trust.PENDING, "last_seen": old, "status": DeviceStatus.ONLINE},
        {"trust": Trust.PENDING, "last_seen": old, "user_id": ada.id},
        {"trust": Trust.TRUSTED, "last_seen": old},
        {"trust": Trust.QUARANTINED, "last_seen": old},
    ]
    await put(db, *(rows.device(n, device_name="stranger", **values) for n, values in enumerate(strangers)))
    await put(db, *(rows.device(100 + n, device_name=f"kept {n}", **values) for n, values in enumerate(kept)))
    async with db.read() as session:
        stranger = (await session.scalars(sa.select(Device).where(Device.device_name == "stranger").limit(1))).one()
    await put(db, rows.claim(stranger))
    await retention.prune()
    assert await left(db, Device.device_name) == {f"kept {n}" for n in range(len(kept))}
    assert await left(db, Claim.id) == set()
    assert sum(hint.kind is HintKind.DEVICE_REMOVED for hint in hints) == len(strangers)


async def test_the_newest_refusals_are_kept(
    retention: RetentionService, db: Database, clock: ManualClock, lines: Any
) -> None:
    for minute in range(4):
        keys = (RefusedKey(public_key=f"{minute}-{n}", reason="", created_at=clock()) for n in range(2))
        await put(db, *keys)
        clock.advance(days=400)
    await retention.prune()
    assert await left(db, RefusedKey.public_key) == {"1-1", "2-0", "2-1", "3-0", "3-1"}
    said = [line for line in lines() if "refused_keys.forgotten" in line]
    assert len(said) == 1
    await retention.prune()
    assert len(await left(db, RefusedKey.public_key)) == 5


async def test_no_transaction_deletes_more_than_a_batch(
    retention: RetentionService, db: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.pruning.BATCH", 3)
    device = rows.device(1)
    await put(db, device)
    old = clock() - timedelta(days=8)
    await put(db, *(rows.status_event(device, DeviceStatus.OFFLINE, old) for _ in range(8)))
    deleted: list[int] = []
    committed: list[int] = []

    def note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)

    engine = db._writer.sync_engine
    sa.event.listen(engine, "after_cursor_execute", note)
    sa.event.listen(engine, "commit", lambda _: committed.append(sum(deleted)))
    await retention.prune()
    assert deleted == [3, 3, 2]
    assert {3, 6, 8} <= set(committed)
    assert await left(db, Device.agent_id) == {device.agent_id}
