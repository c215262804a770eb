"""The identity table of docs/architecture.md, row by row, with real agents on real sockets."""

import asyncio
import re
import secrets
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from nacl.signing import SigningKey

from app.accounts.permissions import Role
from app.clock import utcnow
from app.devices.enrollment import EnrollmentService
from app.devices.models import Device, EnrollmentToken
from app.uow import UnitOfWork
from deployx_protocol import events
from deployx_protocol.messages import AgentRegister
from deployx_protocol.signing import register_bytes
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, RunningNode, Serve, eventually
from tests.support.server import MakePerson, Person


async def token_for(node: RunningNode, owner: Person, **options: Any) -> str:
    service = EnrollmentService(UnitOfWork(node.db, lambda _: None), node.db, node.settings)
    return (await service.create(owner.id, name="test", **options)).token


async def columns(node: RunningNode, device_id: int, *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Every column of one row."""
    async with node.db.read() as session:
        row = (await session.execute(sa.select(Device.__table__).where(Device.__table__.c.id == device_id))).one()
    return {name: value for name, value in row._mapping.items() if name not in but}


async def uses(node: RunningNode) -> list[int]:
    async with node.db.read() as session:
        return list(await session.scalars(sa.select(EnrollmentToken.uses).order_by(EnrollmentToken.created_at)))


# ---------------------------------------------------------------- unknown key


async def test_an_unknown_key_with_a_token_is_trusted_and_belongs_to_its_maker(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node = await serve(enrollment="token")
    bob = await person("bob@example.test", Role.OPERATOR)
    web = agent(node, Machine(enrollment_token=await token_for(node, bob)))
    assert (await web.start())["trust"] == "trusted"
    [row] = await node.devices()
    assert (row.trust, row.user_id, row.public_key) == ("trusted", bob.id, web.machine.public_key)
    assert row.enrollment_token_id
    assert await uses(node) == [1]


async def test_an_unknown_key_under_approval_is_pending_and_nobodys(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    assert (await agent(node).start())["trust"] == "pending"
    [row] = await node.devices()
    assert (row.trust, row.user_id) == ("pending", None)


async def test_an_unknown_key_under_token_writes_nothing(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="token")
    assert (await agent(node).refused())["code"] == "invalid_credentials"
    assert await node.devices() == []


@pytest.mark.parametrize("by", ["machine_id", "agent_id", "both"])
@pytest.mark.parametrize("connected", [True, False], ids=["connected", "away"])
async def test_threat_11_another_key_that_names_a_keyed_device_makes_a_claim(
    by: str, connected: bool, serve: Serve, agent: MakeAgent
) -> None:
    node = await serve(enrollment="approval")
    victim = agent(node)
    await victim.start()
    if not connected:
        await victim.close()
        await node.status(victim.machine.agent_id, "offline")
    await _settled(node)
    before = await columns(node, 1)
    names = {name: getattr(victim.machine, name) for name in ("machine_id", "agent_id") if by in (name, "both")}
    impostor = agent(node, Machine(**names))
    await impostor.connect()
    name, answer = await impostor.register()
    assert (name, answer["trust"]) == (events.REGISTRATION_SUCCESS, "pending")
    assert (await impostor.call(events.PING))["ok"]
    await impostor.call(events.REGISTRATION_ACK, {"generation": 7})
    await impostor.call(events.AGENT_LEAVING, {"reason": "bye"})
    [claim] = await node.claims()
    assert (claim.kind, claim.state, claim.device_id) == ("reinstalled", "open", 1)
    assert claim.public_key == impostor.machine.public_key
    await impostor.close()
    await _settled(node)
    assert await columns(node, 1) == before
    assert len(await node.devices()) == 1
    assert victim.open is connected


async def test_threat_11_a_client_without_a_key_cannot_touch_a_keyed_device(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    victim = agent(node)
    await victim.start()
    await _settled(node)
    before = await columns(node, 1)
    for wanted in ("machine_id", "agent_id"):
        impostor = agent(node)
        await impostor.connect()
        seed = impostor.machine.seed() | {wanted: getattr(victim.machine, wanted)}
        name, failure = await impostor.register_raw(seed)
        assert (name, failure["code"]) == (events.REGISTRATION_FAILED, "identity_conflict")
        assert (await impostor.call(events.PING))["error"]["code"] == "not_registered"
    await _settled(node)
    assert await columns(node, 1) == before
    assert victim.open
    assert [(claim.public_key, claim.state) for claim in await node.claims()] == [(None, "open")]


async def test_a_claim_that_is_made_again_is_one_claim(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    victim = agent(node)
    await victim.start()
    other = Machine(machine_id=victim.machine.machine_id)
    for _ in range(3):
        claimant = agent(node, other)
        await claimant.connect()
        await claimant.register()
        await claimant.close()
    assert len(await node.claims()) == 1


async def test_threat_20_ever_new_keys_cannot_fill_the_claims(
    serve: Serve, agent: MakeAgent, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.devices.conflicts.CLAIMS_MAX", 3)
    node, ada = await serve(enrollment="approval"), await person()
    victim = agent(node)
    await victim.start()
    answers = []
    for _ in range(5):
        claimant = agent(node, Machine(machine_id=victim.machine.machine_id))
        await claimant.connect()
        answers.append(await claimant.register())
    assert [name for name, _ in answers] == [events.REGISTRATION_SUCCESS] * 3 + [events.REGISTRATION_FAILED] * 2
    assert answers[-1][1]["code"] == "identity_conflict"
    assert len(await node.claims()) == 3
    holder_of_a_token = agent(node, Machine(machine_id=victim.machine.machine_id))
    holder_of_a_token.machine.enrollment_token = await token_for(node, ada)
    await holder_of_a_token.connect()
    assert (await holder_of_a_token.register())[0] == events.REGISTRATION_SUCCESS
    assert len(await node.claims()) == 4


async def _settled(node: RunningNode) -> None:
    """Until the heartbeats and acknowledgements sent so far are in the database."""
    sent = [row.generation_issued for row in await node.devices()]

    async def confirmed() -> bool:
        return [row.generation for row in await node.devices()] == sent

    await eventually(confirmed, what="confirmations")


# ---------------------------------------------------------------- a known key


async def test_half_of_the_fingerprint_may_change(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    first = agent(node)
    await first.start()
    await first.close()
    await node.status(first.machine.agent_id, "offline")
    machine = first.machine.clone()
    machine.fingerprint |= {"mac": secrets.token_hex(16), "disk": secrets.token_hex(16)}
    assert (await agent(node, machine).start())["trust"] == "pending"
    assert await node.claims() == []
    assert (await node.device(machine.agent_id)).fingerprint == machine.fingerprint


async def test_more_than_half_is_held_as_moved(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node = await serve(enrollment="token")
    first = agent(node, Machine(enrollment_token=await token_for(node, await person())))
    await first.start()
    await first.close()
    await node.status(first.machine.agent_id, "offline")
    machine = first.machine.clone()
    machine.fingerprint |= {fact: secrets.token_hex(16) for fact in ("mac", "disk", "cpu")}
    assert (await agent(node, machine).start())["trust"] == "quarantined"
    [claim] = await node.claims()
    assert (claim.kind, claim.state, claim.trust_before) == ("moved", "open", "trusted")
    row = await node.device(machine.agent_id)
    assert (row.trust, row.fingerprint) == ("quarantined", first.machine.fingerprint)
    assert "3 of 4" in row.trust_reason


async def test_a_fingerprint_that_disappears_is_a_change(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    first = agent(node)
    await first.start()
    await first.close()
    await node.status(first.machine.agent_id, "offline")
    assert (await agent(node, first.machine).start(fingerprint={}))["trust"] == "quarantined"


async def test_the_same_process_on_a_new_connection_takes_over_without_a_probe(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    first = agent(node)
    await first.start()
    second = agent(node, first.machine, boot_id=first.boot_id)
    await asyncio.wait_for(second.start(), 2)
    assert (await first.payload(events.SESSION_ENDED))["code"] == "superseded"
    await first.ended()
    assert await node.claims() == []
    row = await node.device(first.machine.agent_id)
    assert (row.status, row.session_epoch, row.trust) == ("online", 2, "pending")


async def test_fault_11_a_restart_whose_old_connection_is_dead_takes_over(
    serve: Serve, agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.registering.PROBE_S", 0.3)
    node = await serve(enrollment="approval")
    dead = agent(node)
    await dead.start()
    dead.sio.eio._send_packet = _say_nothing  # half open: the peer is gone, the connection is not
    restarted = agent(node, dead.machine)
    assert (await restarted.start())["trust"] == "pending"
    await dead.ended()
    assert await node.claims() == []
    row = await node.status(dead.machine.agent_id, "online")
    assert (row.boot_id, row.trust) == (restarted.boot_id, "pending")
    assert (await restarted.call(events.PING))["ok"]


async def _say_nothing(_packet: object) -> None:
    return None


async def test_fault_11_who_died_while_it_contested_does_not_count_against_its_successor(
    serve: Serve, agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.realtime.registering.PROBE_S", 0.5)
    node = await serve(enrollment="approval")
    frozen = agent(node)
    await frozen.start()
    frozen.sio.eio._send_packet = _say_nothing
    killed = agent(node, frozen.machine)
    await killed.connect()
    registration = killed.machine.register(node.url, killed.sid, killed.boot_id)
    assert (await killed.call(events.AGENT_REGISTER, registration))["ok"]  # from now on the frozen one is asked
    assert (await killed.call(events.AGENT_REGISTER, registration))["error"]["code"] == "registering"
    await killed.abort()
    successor = agent(node, frozen.machine)
    assert (await successor.start())["trust"] == "pending"
    await frozen.ended()
    assert (await successor.call(events.PING))["ok"]
    assert await node.claims() == []
    row = await node.status(frozen.machine.agent_id, "online")
    assert (row.boot_id, row.trust) == (successor.boot_id, "pending")


@pytest.mark.parametrize("moved", [False, True], ids=["same hardware", "other hardware"])
async def test_threat_10_two_live_copies_are_both_quarantined(
    moved: bool, serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node = await serve(enrollment="token")
    original = agent(node, Machine(enrollment_token=await token_for(node, await person())))
    await original.start()
    copy = agent(node, original.machine.clone(moved=moved))
    await copy.connect()
    name, answer = await copy.register()
    assert (name, answer["trust"]) == (events.REGISTRATION_SUCCESS, "quarantined")
    await original.payload(events.REGISTRATION_REQUIRED)
    name, answer = await original.register()
    assert (name, answer["trust"]) == (events.REGISTRATION_SUCCESS, "quarantined")
    [row], [claim] = await node.devices(), await node.claims()
    assert (row.trust, row.status, row.boot_id) == ("quarantined", "online", original.boot_id)
    assert (claim.kind, claim.state, claim.boot_id) == ("cloned", "open", copy.boot_id)
    assert (claim.holder_boot_id, claim.trust_before) == (original.boot_id, "trusted")
    assert original.open
    assert copy.open


async def test_threat_10_two_copies_that_start_at_once_are_both_quarantined(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    first = agent(node, machine)
    await first.start()
    await first.close()
    await node.status(machine.agent_id, "offline")
    pair = [agent(node, machine.clone()), agent(node, machine.clone())]
    for copy in pair:
        await copy.connect()
    await asyncio.gather(*(copy.register() for copy in pair))
    [row], claims = await node.devices(), await node.claims()
    assert (row.trust, row.status) == ("quarantined", "online")
    assert [(claim.kind, claim.state) for claim in claims] == [("cloned", "open")]
    assert all(copy.open for copy in pair)


@pytest.mark.parametrize("moved", [False, True], ids=["same hardware", "other hardware"])
async def test_threat_10_copies_that_take_turns_are_found_out(moved: bool, serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    original = agent(node)
    await original.start()
    await original.close()
    machines = [original.machine, original.machine.clone(moved=moved)]
    trust = []
    for turn in range(4):
        await node.status(original.machine.agent_id, "offline")
        peer = agent(node, machines[turn % 2])
        trust.append((await peer.start())["trust"])
        await peer.close()
    assert trust[-1] == "quarantined"
    assert "open" in {claim.state for claim in await node.claims()}


# ---------------------------------------------------------------- generations


async def test_generations_grow_and_the_old_one_is_forgotten(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    for turn in range(1, 4):
        peer = agent(node, machine)
        assert (await peer.start())["generation"] == turn
        await _settled(node)
        await peer.close()
        row = await node.status(machine.agent_id, "offline")
        assert (row.generation, row.generation_issued) == (turn, turn)


async def test_an_agent_that_lost_its_answer_goes_on_with_the_generation_before(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    first = agent(node, machine)
    await first.start()
    await first.close()
    for _ in range(3):
        await node.status(machine.agent_id, "offline")
        lost = agent(node, machine.clone())  # what it is told does not reach the disk
        await lost.connect()
        assert (await lost.register())[1]["trust"] == "pending"
        await lost.abort()
    assert await node.claims() == []


async def test_fault_13_a_restored_snapshot_is_accepted_and_logged(
    serve: Serve, agent: MakeAgent, lines: Lines
) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    snapshot = machine
    for turn in range(4):
        peer = agent(node, machine)
        await peer.start()
        await _settled(node)
        if turn == 1:
            snapshot = machine.clone()
        await peer.close()
        await node.status(machine.agent_id, "offline")
    snapshot.journal_id = secrets.token_hex(16)
    assert (await agent(node, snapshot).start())["trust"] == "pending"
    assert await node.claims() == []
    assert any(re.search(r"\[WARNING\] device\.lineage_changed .*lineage=behind", line) for line in lines())
    row = await node.device(machine.agent_id)
    assert (row.status, row.journal_id) == ("online", snapshot.journal_id)


async def test_threat_10_a_snapshot_beside_the_live_agent_is_a_copy(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    snapshot = machine.clone()
    live = agent(node, machine)
    await live.start()
    restored = agent(node, snapshot)
    await restored.connect()
    assert (await restored.register())[1]["trust"] == "quarantined"
    assert [claim.kind for claim in await node.claims()] == ["cloned"]


async def test_a_restored_server_accepts_a_generation_ahead(serve: Serve, agent: MakeAgent, lines: Lines) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    first = agent(node, machine)
    await first.start()
    await first.close()
    await node.status(machine.agent_id, "offline")
    machine.generation = 40
    answer = await agent(node, machine).start()
    assert (answer["trust"], answer["generation"]) == ("pending", 41)
    assert await node.claims() == []
    assert any(re.search(r"\[WARNING\] device\.lineage_changed .*lineage=ahead", line) for line in lines())


# ---------------------------------------------------------------- enrolment tokens


async def test_threat_09_a_repeat_after_a_lost_answer_spends_nothing(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node = await serve(enrollment="token")
    machine = Machine(enrollment_token=await token_for(node, await person()))
    for _ in range(3):
        lost = agent(node, machine.clone())
        await lost.connect()
        assert (await lost.register())[0] == events.REGISTRATION_SUCCESS
        await lost.abort()
        await node.status(machine.agent_id, "offline")
    assert len(await node.devices()) == 1
    assert await uses(node) == [1]


async def test_threat_09_one_use_more_than_allowed_fails(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node = await serve(enrollment="token")
    token = await token_for(node, await person(), max_uses=2)
    for _ in range(2):
        await agent(node, Machine(enrollment_token=token)).start()
    failure = await agent(node, Machine(enrollment_token=token)).refused()
    assert failure["code"] == "invalid_credentials"
    assert await uses(node) == [2]


async def test_threat_09_of_fifty_at_once_exactly_as_many_as_allowed_enrol(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node = await serve(enrollment="token")
    token = await token_for(node, await person(), max_uses=20)
    crowd = [agent(node, Machine(enrollment_token=token)) for _ in range(50)]
    await asyncio.gather(*(peer.connect() for peer in crowd))
    answers = await asyncio.gather(*(peer.register() for peer in crowd))
    names = [name for name, _ in answers]
    assert (names.count(events.REGISTRATION_SUCCESS), names.count(events.REGISTRATION_FAILED)) == (20, 30)
    assert len(await node.devices()) == 20
    assert await uses(node) == [20]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_threat_09_of_two_servers_exactly_as_many_as_allowed_enrol(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    one = await serve(enrollment="token", public_url=["http://127.0.0.1:1"])
    two = await serve(enrollment="token", public_url=["http://127.0.0.1:1"])
    token = await token_for(one, await person(), max_uses=7)
    crowd = [agent(node, Machine(enrollment_token=token)) for node in (one, two) for _ in range(10)]
    await asyncio.gather(*(peer.connect() for peer in crowd))
    answers = await asyncio.gather(*(peer.register(origin="http://127.0.0.1:1") for peer in crowd))
    assert [name for name, _ in answers].count(events.REGISTRATION_SUCCESS) == 7
    assert len(await one.devices()) == 7
    assert await uses(one) == [7]


@pytest.mark.parametrize("what", ["expired", "revoked", "for another address"])
async def test_threat_09_a_token_that_is_not_good_any_more_is_refused(
    what: str, serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node = await serve(enrollment="token")
    token = await token_for(node, await person())
    changes: dict[str, dict[str, Any]] = {
        "expired": {"expires_at": utcnow() - timedelta(seconds=1)},
        "revoked": {"revoked_at": utcnow()},
        "for another address": {"origin": "https://deployx.example.com"},
    }
    async with node.db.write() as session:
        await session.execute(sa.update(EnrollmentToken).values(**changes[what]))
    failure = await agent(node, Machine(enrollment_token=token)).refused()
    assert failure["code"] == "invalid_credentials"
    assert await uses(node) == [0]


async def test_threat_09_only_the_hash_of_a_token_is_stored(serve: Serve, person: MakePerson) -> None:
    node = await serve(enrollment="token")
    token = await token_for(node, await person())
    async with node.db.read() as session:
        row = (await session.execute(sa.select(EnrollmentToken.__table__))).one()
    assert token.rpartition("_")[2] not in str(row)


# ---------------------------------------------------------------- signatures


async def test_a_signature_of_another_connection_is_refused(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    victim, thief = agent(node), agent(node)
    await victim.connect()
    await thief.connect()
    overheard = victim.machine.register(node.url, victim.sid, victim.boot_id)
    name, failure = await thief.register_raw(overheard)
    assert (name, failure["code"]) == (events.REGISTRATION_FAILED, "invalid_credentials")
    assert await node.devices() == []
    assert (await victim.register_raw(overheard))[0] == events.REGISTRATION_SUCCESS


async def test_a_signature_by_another_key_is_refused(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    forger = agent(node)
    await forger.connect()
    payload = forger.machine.register(node.url, forger.sid, forger.boot_id)
    unsigned = msgspec.convert(payload, AgentRegister)
    payload["signature"] = SigningKey.generate().sign(register_bytes(unsigned, forger.sid)).signature.hex()
    name, failure = await forger.register_raw(payload)
    assert (name, failure["code"], failure["retryable"]) == (events.REGISTRATION_FAILED, "invalid_credentials", False)
    assert await node.devices() == []


async def test_tags_of_the_agents_settings_are_kept_apart_from_those_of_people(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    peer = agent(node)
    await peer.start(tags={"role": "web", "laptop": ""})
    await peer.close()
    await peer.start(tags={"role": "db"})
    (device,) = await node.devices()
    assert (device.agent_tags, device.tags) == ({"role": "db"}, {})


CHANGED = {
    "agent_id": "other",
    "hostname": "other",
    "platform": "other",
    "ip_address": "198.51.100.1",
    "machine_id": "other",
    "protocol": 0,
    "agent_version": "9",
    "generation": 5,
    "boot_id": "0" * 32,
    "journal_id": "0" * 32,
    "journal_high_water": 5,
    "fingerprint": {},
    "facts": {},
    "tags": {"role": "db"},
    "enrollment_token": "other",
}


async def test_every_field_is_signed(serve: Serve, agent: MakeAgent) -> None:
    signed = set(AgentRegister.__struct_fields__) - {"signature", "public_key", "origin"}
    assert CHANGED.keys() == signed
    node = await serve(enrollment="approval")
    for field, value in CHANGED.items():
        peer = agent(node)
        await peer.connect()
        payload = peer.machine.register(node.url, peer.sid, peer.boot_id) | {field: value}
        name, failure = await peer.register_raw(payload)
        assert name == events.REGISTRATION_FAILED, field
        assert failure["code"] in ("invalid_credentials", "invalid_payload"), field
        await peer.close()
    assert await node.devices() == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost"]
)
async def test_another_origin_is_refused(origin: str, serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    failure = await agent(node).refused(origin=origin)
    assert (failure["code"], failure["retryable"]) == ("wrong_origin", False)
    assert await node.devices() == []


async def test_loopback_names_count_only_without_a_public_url(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    port = node.settings.port
    for name in ("127.0.0.1", "localhost", "[::1]"):
        await agent(node).start(origin=f"http://{name}:{port}")
    public = await serve(enrollment="approval", public_url=["https://deployx.example.com"])
    assert (await agent(public).refused())["code"] == "wrong_origin"
    await agent(public).start(origin="https://deployx.example.com")


# ---------------------------------------------------------------- names


async def test_a_renamed_machine_keeps_its_row(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    first = agent(node, Machine(hostname="before"))
    await first.start()
    await first.close()
    await node.status(first.machine.agent_id, "offline")
    first.machine.hostname, first.machine.agent_id = "after", "after-12345678"
    answer = await agent(node, first.machine).start()
    assert answer["agent_id"] == "after-12345678"
    [row] = await node.devices()
    assert (row.hostname, row.device_name, row.agent_id) == ("after", "after", "after-12345678")


async def test_a_name_that_another_key_has_is_not_taken(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    holder, other = agent(node), agent(node)
    await holder.start()
    await other.start()
    await other.close()
    await node.status(other.machine.agent_id, "offline")
    own = other.machine.agent_id
    other.machine.agent_id = holder.machine.agent_id
    answer = await agent(node, other.machine).start()
    assert answer["agent_id"] == own
    assert [row.agent_id for row in await node.devices()] == [holder.machine.agent_id, own]
