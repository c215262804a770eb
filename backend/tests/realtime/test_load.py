"""Many at once, and messages as large as they may be."""

import asyncio
import json
import time

import pytest

from app.complaints import Complaints
from deployx_protocol import events, limits
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve, eventually
from tests.support.rawlink import RawLink

REGISTERED = (events.REGISTRATION_SUCCESS, events.REGISTRATION_FAILED)


@pytest.mark.serial
@pytest.mark.timeout(300)
@pytest.mark.parametrize("crowd", [300, pytest.param(1_000, marks=pytest.mark.soak)])
async def test_fault_20_a_crowd_registers_at_once_and_leaves_at_once(crowd: int, serve: Serve) -> None:
    node = await serve(enrollment="approval", anonymous_max=crowd)
    machines = [Machine() for _ in range(crowd)]
    all_here, leave = asyncio.Semaphore(0), asyncio.Event()

    async def live(machine: Machine) -> None:
        async with RawLink.connected(node.url) as link:
            await link.emit(events.AGENT_REGISTER, machine.register(node.url, link.sid, "0" * 32))
            name, answer = await link.event(*REGISTERED)
            assert name == events.REGISTRATION_SUCCESS, answer
            all_here.release()
            await leave.wait()
            link.abort()

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for machine in machines:
            group.create_task(live(machine))
        for _ in machines:
            await all_here.acquire()
        assert time.monotonic() - began < 60
        rows = await node.devices()
        assert {row.agent_id: row.status for row in rows} == dict.fromkeys((m.agent_id for m in machines), "online")
        leave.set()

    async def all_gone() -> bool:
        return {row.status for row in await node.devices()} == {"offline"}

    await eventually(all_gone, what="all of them offline")
    assert len(await node.devices()) == crowd


@pytest.mark.parametrize(("over", "fits"), [(-1, True), (0, True), (1, False)])
async def test_fault_16_a_message_at_the_limit(over: int, fits: bool, serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    steady = agent(node)
    await steady.start()
    async with RawLink.connected(node.url) as link:
        shell = "42" + json.dumps([events.AGENT_REGISTER, Machine().seed() | {"note": ""}])
        filling = "x" * (limits.AGENT_MESSAGE_MAX_BYTES + over - len(shell))
        await link.send(shell.replace('"note": ""', f'"note": "{filling}"'))
        answer = await link.event_or_end()
        assert (answer is not None and answer[0] == events.REGISTRATION_SUCCESS) is fits
        assert answer is None or fits
    assert len(await node.devices()) == (2 if fits else 1)
    assert (await steady.call(events.PING))["ok"]


def test_complaints_are_few_per_address_and_minute(lines: Lines) -> None:
    now = 0.0
    complaints = Complaints("link.refused", lambda: now)
    for _ in range(100):
        complaints.note("192.0.2.1", "binary message")
    assert len(lines()) == Complaints.PER_WINDOW + 1
    complaints.note("192.0.2.2", "binary message")
    assert len(lines()) == Complaints.PER_WINDOW + 2
    now = Complaints.WINDOW_S + 1
    complaints.note("192.0.2.1", "binary message")
    assert len(lines()) == Complaints.PER_WINDOW + 3


def test_complaints_about_very_many_addresses_take_little_memory() -> None:
    complaints = Complaints("link.refused", lambda: 0.0)
    for number in range(Complaints.ADDRESSES_MAX + 10):
        complaints.note(f"address {number}", "binary message")
    assert len(complaints._windows) <= Complaints.ADDRESSES_MAX + 1
