"""Enrolment tokens as agents use them: each admits as often as it was made for, and no longer than it is good."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.clock import utcnow
from app.devices.models import EnrollmentToken
from deployx_protocol import events
from tests.support.enrolling import token_for, uses
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Serve
from tests.support.server import MakePerson


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


@pytest.mark.databases("postgresql")
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
