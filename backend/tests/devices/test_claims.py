"""Answers to identities in conflict, as the agents live through them: on open connections, or when they come back."""

import secrets
from typing import Any

import httpx2
import pytest
from nacl.signing import SigningKey

from app.accounts.permissions import Role
from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine, MakeAgent
from tests.support.node import RunningNode, Serve, eventually
from tests.support.peers import Watch
from tests.support.server import MakePerson, Person


async def ask(node: RunningNode, somebody: Person, path: str, body: Any = None, *, method: str = "POST") -> Any:
    """What REST answers."""
    async with httpx2.AsyncClient(base_url=f"{node.url}/api/v1/", headers=somebody.bearer) as http:
        answer = await http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


async def register_when_asked(peer: AgentPeer) -> tuple[str, dict[str, Any]]:
    """Wait for `registration_required`, then register on the same connection."""
    await peer.payload(events.REGISTRATION_REQUIRED)
    return await peer.register()


def become_another(machine: Machine, token: str) -> None:
    """What an agent does with `identity_split`."""
    machine.key, machine.machine_id, machine.generation = SigningKey.generate(), secrets.token_hex(16), 0
    machine.agent_id, machine.enrollment_token = f"{machine.hostname}-{machine.public_key[:8]}", token


async def reinstalled(node: RunningNode, agent: MakeAgent) -> tuple[AgentPeer, AgentPeer]:
    """A device, and someone with another key who goes by its ids."""
    victim = agent(node)
    await victim.start()
    machine = Machine("reinstalled", machine_id=victim.machine.machine_id, agent_id=victim.machine.agent_id)
    claimant = agent(node, machine)
    await claimant.connect()
    await claimant.register()
    return victim, claimant


async def cloned(node: RunningNode, agent: MakeAgent) -> tuple[AgentPeer, AgentPeer]:
    """A device and its copy, both connected."""
    original = agent(node)
    await original.start()
    copy = agent(node, original.machine.clone(moved=True))
    await copy.connect()
    await copy.register()
    assert (await register_when_asked(original))[1]["trust"] == "quarantined"
    return original, copy


# ---------------------------------------------------------------- reinstalled


@pytest.mark.databases("sqlite")
async def test_accepting_makes_a_device_with_ids_of_its_own(
    serve: Serve, agent: MakeAgent, person: MakePerson, watch: Watch
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    victim, claimant = await reinstalled(node, agent)
    dashboard = await watch(node, ada, batch=True)
    accepted = (await ask(node, ada, "claims/1/accept"))["device"]
    name, answer = await register_when_asked(claimant)
    assert (name, answer["trust"]) == (events.REGISTRATION_SUCCESS, "trusted")
    await dashboard.change(status="online", id=accepted["id"])
    first, second = await node.devices()
    assert (first.public_key, first.agent_id) == (victim.machine.public_key, victim.machine.agent_id)
    assert (second.id, second.public_key, second.status) == (accepted["id"], claimant.machine.public_key, "online")
    assert second.agent_id.startswith(first.agent_id + "~")
    assert second.machine_id.startswith(first.machine_id + "~")
    assert answer["agent_id"] == second.agent_id
    assert second.user_id == ada.id
    assert victim.open
    await dashboard.payload(events.CLAIMS_CHANGED, where=lambda changed: changed["claims"] == [])


async def test_accepting_with_its_history_hands_the_row_over(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    victim, claimant = await reinstalled(node, agent)
    await ask(node, ada, "claims/1/accept", {"merge_history": True})
    assert (await register_when_asked(claimant))[0] == events.REGISTRATION_SUCCESS
    [row] = await node.devices()
    assert (row.id, row.public_key, row.trust) == (1, claimant.machine.public_key, "trusted")
    assert (row.status, row.agent_id) == ("online", victim.machine.agent_id)
    await eventually(lambda: not victim.open or _was_refused(victim), what="the old key is turned away")
    again = agent(node, victim.machine)
    assert (await again.refused())["code"] == "rejected"
    assert (await node.device(victim.machine.agent_id)).session_epoch == row.session_epoch


def _was_refused(peer: AgentPeer) -> bool:
    return any(name in (events.REGISTRATION_REQUIRED, events.SESSION_ENDED) for name, _ in peer.heard)


@pytest.mark.databases("sqlite")
async def test_a_key_that_was_replaced_speaks_for_the_device_no_more(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    victim, claimant = await reinstalled(node, agent)
    await claimant.close()
    await ask(node, ada, "claims/1/accept", {"merge_history": True})
    name, failure = await register_when_asked(victim)
    assert (name, failure["code"]) == (events.REGISTRATION_FAILED, "rejected")
    assert (await victim.payload(events.SESSION_ENDED))["code"] == "rejected"
    await victim.ended()
    await node.status(victim.machine.agent_id, "offline")


@pytest.mark.databases("sqlite")
async def test_rejecting_turns_the_key_away_for_good(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    victim, claimant = await reinstalled(node, agent)
    await ask(node, ada, "claims/1/reject")
    name, failure = await register_when_asked(claimant)
    assert (name, failure["code"], failure["retryable"]) == (events.REGISTRATION_FAILED, "rejected", False)
    await claimant.ended()
    assert len(await node.devices()) == 1
    assert (await agent(node, claimant.machine).refused())["code"] == "rejected"
    token = (await ask(node, ada, "enrollment-tokens", {"name": "again"}))["token"]
    claimant.machine.enrollment_token = token
    lifted = agent(node, claimant.machine)
    await lifted.connect()
    assert (await lifted.register())[0] == events.REGISTRATION_SUCCESS
    assert victim.open


async def test_a_client_without_a_key_cannot_be_accepted(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    victim = agent(node)
    await victim.start()
    seed = agent(node)
    await seed.connect()
    await seed.register_raw(victim.machine.seed())
    async with httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http:
        assert (await http.post("/api/v1/claims/1/accept")).status_code == 409
        assert (await http.post("/api/v1/claims/1/reject")).status_code == 200


async def test_a_claim_is_answered_once(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    await reinstalled(node, agent)
    await ask(node, ada, "claims/1/reject")
    async with httpx2.AsyncClient(base_url=node.url, headers=ada.bearer) as http:
        for path, status in (("1/accept", 409), ("1/split", 409), ("2/accept", 404)):
            assert (await http.post(f"/api/v1/claims/{path}")).status_code == status


async def test_threat_12_a_claim_about_someone_elses_device_does_not_exist(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, eve = await serve(enrollment="approval"), await person("eve@example.test", Role.OPERATOR)
    await reinstalled(node, agent)
    async with httpx2.AsyncClient(base_url=node.url, headers=eve.bearer) as http:
        assert (await http.get("/api/v1/claims")).json()["items"] == []
        for answer in ("accept", "reject", "moved", "split"):
            assert (await http.post(f"/api/v1/claims/1/{answer}")).status_code == 404


# ---------------------------------------------------------------- moved and cloned


async def test_moved_gives_the_device_back_what_it_had(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    first = agent(node)
    await first.start()
    await ask(node, ada, "devices/1/accept")
    assert (await register_when_asked(first))[1]["trust"] == "trusted"
    await first.close()
    await node.status(first.machine.agent_id, "offline")
    moved = agent(node, first.machine.clone(moved=True))
    assert (await moved.start())["trust"] == "quarantined"
    await ask(node, ada, "claims/1/moved")
    assert (await register_when_asked(moved))[1]["trust"] == "trusted"
    row = await node.device(first.machine.agent_id)
    assert (row.trust, row.fingerprint) == ("trusted", moved.machine.fingerprint)
    await moved.close()
    await node.status(first.machine.agent_id, "offline")
    assert (await agent(node, moved.machine).start())["trust"] == "trusted"
    assert len(await node.claims()) == 1


@pytest.mark.databases("sqlite")
async def test_threat_10_splitting_makes_the_copy_a_device_of_its_own(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    original, copy = await cloned(node, agent)
    await ask(node, ada, "claims/1/split")
    assert (await register_when_asked(original))[1]["trust"] == "pending"
    name, split = await register_when_asked(copy)
    assert name == events.IDENTITY_SPLIT
    become_another(copy.machine, split["enrollment_token"])
    name, answer = await copy.register()
    assert (name, answer["trust"]) == (events.REGISTRATION_SUCCESS, "trusted")
    first, second = await node.devices()
    assert (first.public_key, first.trust, first.status) == (original.machine.public_key, "pending", "online")
    assert (second.public_key, second.user_id, second.status) == (copy.machine.public_key, ada.id, "online")
    assert [claim.state for claim in await node.claims()] == ["split"]
    for peer in (original, copy):
        assert (await peer.call(events.PING))["ok"]
    third = agent(node, Machine(enrollment_token=split["enrollment_token"]))
    assert (await third.refused(enrollment_token=split["enrollment_token"]))["code"] == "invalid_credentials"


@pytest.mark.databases("sqlite")
async def test_threat_10_a_copy_that_was_away_is_split_when_it_returns(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    original, copy = await cloned(node, agent)
    await copy.close()
    await ask(node, ada, "claims/1/split")
    assert (await register_when_asked(original))[1]["trust"] == "pending"
    back = agent(node, copy.machine)
    await back.connect()
    assert (await back.register())[0] == events.IDENTITY_SPLIT
    assert original.open
    [row] = await node.devices()
    assert (row.trust, row.status, row.boot_id) == ("pending", "online", original.boot_id)


@pytest.mark.databases("sqlite")
async def test_threat_10_a_copy_that_stood_for_the_device_leaves_it_offline(
    serve: Serve, agent: MakeAgent, person: MakePerson, watch: Watch
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    original = agent(node)
    await original.start()
    await original.close()
    await node.status(original.machine.agent_id, "offline")
    copy = agent(node, original.machine.clone(moved=True))
    assert (await copy.start())["trust"] == "quarantined"
    dashboard = await watch(node, ada)
    await ask(node, ada, "claims/1/split")
    name, split = await register_when_asked(copy)
    assert name == events.IDENTITY_SPLIT
    await dashboard.change(id=1, status="offline")
    become_another(copy.machine, split["enrollment_token"])
    assert (await copy.register())[0] == events.REGISTRATION_SUCCESS
    first, second = await node.devices()
    assert (first.status, second.status, second.public_key) == ("offline", "online", copy.machine.public_key)
    assert (await agent(node, original.machine).start())["trust"] == "pending"
    assert [row.status for row in await node.devices()] == ["online", "online"]
    assert (await copy.call(events.PING))["ok"]


@pytest.mark.databases("sqlite")
async def test_a_copy_that_does_not_enrol_is_cut_off(
    serve: Serve, agent: MakeAgent, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployx_protocol.limits.REGISTER_DEADLINE_S", 1.0)
    node, ada = await serve(enrollment="approval"), await person()
    original, copy = await cloned(node, agent)
    await ask(node, ada, "claims/1/split")
    assert (await register_when_asked(original))[1]["trust"] == "pending"
    assert (await register_when_asked(copy))[0] == events.IDENTITY_SPLIT
    assert (await copy.call(events.PING))["error"]["code"] == "not_registered"
    await copy.ended()
    assert original.open


@pytest.mark.databases("sqlite")
async def test_who_registers_as_another_device_is_the_first_one_no_more(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    peer = agent(node)
    await peer.start()
    first = peer.machine
    peer.machine = Machine()
    assert (await peer.register())[0] == events.REGISTRATION_SUCCESS
    await node.status(first.agent_id, "offline")
    assert (await node.device(peer.machine.agent_id)).status == "online"
    await peer.close()
    await node.status(peer.machine.agent_id, "offline")
    await agent(node, first).start()
    assert await node.claims() == []


# ---------------------------------------------------------------- taken away


@pytest.mark.databases("sqlite")
async def test_a_removed_device_is_told_and_forgotten(
    serve: Serve, agent: MakeAgent, person: MakePerson, watch: Watch
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    dashboard = await watch(node, ada, batch=True)
    peer = agent(node)
    await peer.start()
    await ask(node, ada, "devices/1", method="DELETE")
    ended = await peer.payload(events.SESSION_ENDED)
    assert (ended["code"], ended["retryable"]) == ("removed", False)
    await peer.ended()
    batch = await dashboard.payload(events.DEVICES_CHANGED, where=lambda batch: batch["removed"])
    assert [gone["id"] for gone in batch["removed"]] == [1]
    assert await node.devices() == []


async def test_whoever_waits_on_a_removed_device_registers_anew(
    serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    _, claimant = await reinstalled(node, agent)
    await ask(node, ada, "devices/1", method="DELETE")
    assert (await register_when_asked(claimant))[1]["trust"] == "pending"
    [row] = await node.devices()
    assert (row.public_key, row.agent_id, row.status) == (
        claimant.machine.public_key,
        claimant.machine.agent_id,
        "online",
    )


@pytest.mark.databases("sqlite")
async def test_an_accepted_device_hears_of_it(serve: Serve, agent: MakeAgent, person: MakePerson) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    peer = agent(node)
    assert (await peer.start())["trust"] == "pending"
    await ask(node, ada, "devices/1/accept")
    assert (await register_when_asked(peer))[1]["trust"] == "trusted"
    [row] = await node.devices()
    assert (row.user_id, row.status) == (ada.id, "online")


@pytest.mark.parametrize("way", ["reject", "delete"])
async def test_a_rejected_device_comes_back_only_with_a_token(
    way: str, serve: Serve, agent: MakeAgent, person: MakePerson
) -> None:
    node, ada = await serve(enrollment="approval"), await person()
    peer = agent(node)
    await peer.start()
    if way == "reject":
        await ask(node, ada, "devices/1/reject")
    else:
        await ask(node, ada, "devices/1", method="DELETE")
    await peer.ended()
    back = agent(node, peer.machine)
    if way == "delete":
        assert (await back.start())["trust"] == "pending"
        return
    assert (await back.refused())["code"] == "rejected"
    peer.machine.enrollment_token = (await ask(node, ada, "enrollment-tokens", {"name": "again"}))["token"]
    assert (await agent(node, peer.machine).start())["trust"] == "trusted"
