"""Machines that come without a token where approval is asked for: how many may wait, and what the next one is told."""

import asyncio

import pytest

from app.complaints import Complaints
from app.devices.models import Device
from deployx_protocol import events
from deployx_protocol.codes import Code
from tests.support import rows
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve
from tests.support.rawlink import RawLink
from tests.support.server import Browse, MakePerson

MOST = 3


@pytest.mark.databases("sqlite")
async def test_threat_20_ever_new_machines_cannot_fill_the_devices(
    serve: Serve, agent: MakeAgent, browse: Browse, person: MakePerson, lines: Lines
) -> None:
    node, ada = await serve(enrollment="approval", pending_devices_max=MOST), await person()
    peers = [agent(node) for _ in range(MOST + 2)]
    await asyncio.gather(*(peer.connect() for peer in peers))
    answers = await asyncio.gather(*(peer.register() for peer in peers))
    assert (
        sorted(name for name, _ in answers) == [events.REGISTRATION_FAILED] * 2 + [events.REGISTRATION_SUCCESS] * MOST
    )
    refused = [told for name, told in answers if name == events.REGISTRATION_FAILED]
    assert [(told["code"], told["retryable"]) for told in refused] == [(Code.SERVER_BUSY, True)] * 2
    assert "a token" in refused[0]["message"]
    assert len(await node.devices()) == MOST
    assert any("device.turned_away" in line for line in lines())

    waiting = next(peer for peer, (name, _) in zip(peers, answers, strict=True) if name == events.REGISTRATION_SUCCESS)
    await waiting.close()
    assert (await agent(node, waiting.machine).start())["trust"] == "pending"  # who waits already comes and goes

    client = browse(node, ada.bearer)
    made = (await client.post("/api/v1/enrollment-tokens", json={"name": "mine"})).json()
    assert (await agent(node).start(enrollment_token=made["token"]))["trust"] == "trusted"

    assert (await client.post(f"/api/v1/devices/{(await node.devices())[0].id}/accept", json={})).status_code == 200
    assert (await agent(node).start())["trust"] == "pending"  # an accepted device waits no more


async def test_threat_20_a_client_without_a_key_waits_like_others(serve: Serve) -> None:
    node = await serve(enrollment="approval", pending_devices_max=MOST)
    async with node.db.write() as session:
        session.add_all([rows.device(number, trust="unverified", public_key=None) for number in range(MOST)])
    async with RawLink.connected(node.url) as link:
        await link.emit(events.AGENT_REGISTER, Machine().seed())
        name, told = await link.event(events.REGISTRATION_SUCCESS, events.REGISTRATION_FAILED)
    assert (name, told["code"]) == (events.REGISTRATION_FAILED, Code.SERVER_BUSY)
    assert len(await node.rows(Device)) == MOST


@pytest.mark.databases("sqlite")
async def test_threat_20_who_asks_again_and_again_is_cut_and_fills_no_log(serve: Serve, lines: Lines) -> None:
    node = await serve(enrollment="approval", pending_devices_max=1)
    async with node.db.write() as session:
        session.add(rows.device(1, trust="pending"))
    machine = Machine()
    async with RawLink.connected(node.url) as link:
        for _ in range(100):
            await link.emit(events.AGENT_REGISTER, machine.seed())
        while await link.event_or_end() is not None:
            pass
    assert sum("device.turned_away" in line for line in lines()) == Complaints.PER_WINDOW + 1
    assert sum("Registration failed" in line for line in lines()) <= 20
