"""A key that the server knows: the same machine, a changed one, a copy, a restored one; the identity table again."""

import asyncio
import re
import secrets

import pytest

from deployx_protocol import events
from tests.support.enrolling import settled, token_for
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve, eventually
from tests.support.server import MakePerson


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


@pytest.mark.databases("sqlite")
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


@pytest.mark.databases("sqlite")
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


async def test_fault_11_a_registration_that_is_read_after_its_process_went_changes_nothing(
    serve: Serve, agent: MakeAgent, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.setattr("app.realtime.registering.PROBE_S", 0.3)
    node = await serve(enrollment="approval")
    machine = Machine()

    async def come_and_go() -> None:
        peer = agent(node, machine)
        assert (await peer.start())["trust"] == "pending"
        await settled(node)
        await peer.close()
        await node.status(machine.agent_id, "offline")

    await come_and_go()
    killed = agent(node, machine)
    await killed.connect()
    registration = machine.register(node.url, killed.sid, killed.boot_id)
    await come_and_go()
    before = await node.device(machine.agent_id)
    await killed.emit(events.AGENT_REGISTER, registration)
    killed.sio.eio._send_packet = _say_nothing
    await eventually(lambda: any("registration.abandoned" in line for line in lines()), what="that nobody is there")
    row = await node.device(machine.agent_id)
    assert (row.status, row.generation_issued) == ("offline", before.generation_issued)
    assert row.generation_forks == []
    await come_and_go()  # its key is not taken for one that two copies use in turn
    assert await node.claims() == []


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


@pytest.mark.databases("sqlite")
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


@pytest.mark.databases("sqlite")
async def test_generations_grow_and_the_old_one_is_forgotten(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    for turn in range(1, 4):
        peer = agent(node, machine)
        assert (await peer.start())["generation"] == turn
        await settled(node)
        await peer.close()
        row = await node.status(machine.agent_id, "offline")
        assert (row.generation, row.generation_issued) == (turn, turn)


@pytest.mark.databases("sqlite")
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
        await settled(node)
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
