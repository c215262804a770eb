"""Who an agent is comes from its connection: whatever it names in a payload, it speaks for itself alone."""

import pytest

from app.devices.models import Device
from deployx_protocol import events
from tests.support.machines import MakeAgent
from tests.support.node import Serve, eventually


@pytest.mark.databases("sqlite")
async def test_threat_13_an_agent_that_names_another_speaks_for_itself(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    rogue, victim = agent(node), agent(node)
    await rogue.start()
    await victim.start()

    async def saved() -> Device | None:
        row = await node.device(victim.machine.agent_id)
        return row if row.generation == row.generation_issued else None

    before: Device = await eventually(saved, what="the generation that the victim has confirmed")
    forged = {"agent_id": victim.machine.agent_id, "id": before.id, "machine_id": before.machine_id, "sid": victim.sid}
    await rogue.call(events.PING, forged)
    await rogue.call(events.REGISTRATION_ACK, {**forged, "generation": 999})
    await rogue.call(events.AGENT_LEAVING, {**forged, "reason": "in your name"})
    await rogue.close()
    own = await node.status(rogue.machine.agent_id, "offline")
    assert own.status_detail == "the agent stopped: in your name"
    after = await node.device(victim.machine.agent_id)
    columns = [column.name for column in type(after).__table__.columns]
    assert {name: getattr(after, name) for name in columns} == {name: getattr(before, name) for name in columns}
    assert victim.open
