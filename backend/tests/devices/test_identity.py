"""The identity table of docs/architecture.md, row by row, with real agents on real sockets."""

from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.devices.models import Device
from deployx_protocol import events
from tests.support.enrolling import settled, token_for, uses
from tests.support.machines import Machine, MakeAgent
from tests.support.node import RunningNode, Serve
from tests.support.server import MakePerson


async def columns(node: RunningNode, device_id: int, *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Every column of one row."""
    async with node.db.read() as session:
        row = (await session.execute(sa.select(Device.__table__).where(Device.__table__.c.id == device_id))).one()
    return {name: value for name, value in row._mapping.items() if name not in but}


# ---------------------------------------------------------------- unknown key


@pytest.mark.databases("sqlite")
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


@pytest.mark.databases("sqlite")
async def test_an_unknown_key_under_approval_is_pending_and_nobodys(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    assert (await agent(node).start())["trust"] == "pending"
    [row] = await node.devices()
    assert (row.trust, row.user_id) == ("pending", None)


@pytest.mark.databases("sqlite")
async def test_an_unknown_key_under_token_writes_nothing(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="token")
    assert (await agent(node).refused())["code"] == "invalid_credentials"
    assert await node.devices() == []


@pytest.mark.databases("sqlite")
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
    await settled(node)
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
    await settled(node)
    assert await columns(node, 1) == before
    assert len(await node.devices()) == 1
    assert victim.open is connected


async def test_threat_11_a_client_without_a_key_cannot_touch_a_keyed_device(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    victim = agent(node)
    await victim.start()
    await settled(node)
    before = await columns(node, 1)
    for wanted in ("machine_id", "agent_id"):
        impostor = agent(node)
        await impostor.connect()
        seed = impostor.machine.seed() | {wanted: getattr(victim.machine, wanted)}
        name, failure = await impostor.register_raw(seed)
        assert (name, failure["code"]) == (events.REGISTRATION_FAILED, "identity_conflict")
        assert (await impostor.call(events.PING))["error"]["code"] == "not_registered"
    await settled(node)
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
