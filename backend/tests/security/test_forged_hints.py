"""Hints that nobody's commit left: they cost a query, start nothing, and show nobody what is not theirs.

What carries hints between servers may be written to by whoever has a way into the database, so none of those who hear
them from there may take a hint's word for anything.
"""

import itertools
import json
from collections.abc import Iterator
from typing import cast

import sqlalchemy as sa

from app.accounts.permissions import Role
from app.devices.models import Device
from app.hints import Hint, HintKind
from app.ids import new_id
from app.realtime.bus import Bus
from app.realtime.envelopes import envelopes
from app.realtime.notifications import CHANNEL
from deployx_protocol import events
from deployx_protocol.states import Trust
from tests.support import rows
from tests.support.machines import Machine
from tests.support.node import Serve
from tests.support.peers import Peer, Watch
from tests.support.server import MakePerson
from tests.support.work import WorkPeer, one_task, queue, run_of, trust

MALFORMED = (
    *("", "null", "[]", "{", "\u0001", '{"sender":1,"hints":[]}', '{"sender":"x"}', "[" * 5000),
    '{"sender":"x","hints":[["device_row",0,0,"",0,[99999999999]]]}',
    '{"sender":"x","hints":[["device_row",-1,0,"",0,[-1]]]}',
    '{"sender":"x","hints":[["task",0,0,"a b",0,["\'; DROP TABLE devices"]]]}',
    '{"sender":"x","hints":[["no_such_kind",0,0,"",0,[1]]]}',
)


def forged(device_ids: list[int], user_ids: list[int], runs: list[tuple[str, str]]) -> Iterator[Hint]:
    """Every kind of hint about each device, user and run."""
    for kind, device_id, user_id in itertools.product(HintKind, device_ids, user_ids):
        for run_id, task_id in runs:
            yield Hint(kind, device_id, user_id, 2**31, run_id, task_id)


async def test_threat_04_forged_hints_start_nothing_and_show_nothing(
    serve: Serve, person: MakePerson, watch: Watch, peers: list[Peer]
) -> None:
    node = await serve(enrollment="approval")
    bob, eve = [await person(f"{name}@example.test", Role.OPERATOR) for name in ("bob", "eve")]
    agents = [WorkPeer(node.url, Machine(hostname=f"of-bob-{number}")) for number in range(2)]
    peers.extend(agents)
    for one in agents:
        await one.start()
    trusted = await trust(node.db, agents[0].machine.agent_id)
    pending = (await node.device(agents[1].machine.agent_id)).id
    async with node.db.write() as session:
        await session.execute(sa.update(Device).values(user_id=bob.id))
        session.add(rows.device(900, device_name="of-eve", user_id=eve.id))
    [waits] = await queue(node.db, [pending], user_id=bob.id, title="of-bob-run")
    his_run = (await run_of(node.db, waits)).id
    bus, spy = cast(Bus, node.app.state.bus), await watch(node, eve, batch=True)
    plain = await watch(node, eve)
    assert not (await spy.call(events.WATCH_RUN, {"run_id": his_run}))["ok"]

    ids = [0, -1, trusted, pending, 2**31 - 1]
    lies = list(forged(ids, [0, bob.id, eve.id], [(his_run, waits), (new_id(), new_id()), ("", "")]))
    bus.publish_here(lies)
    if not node.settings.is_sqlite:
        async with node.db.write() as session:
            for text in [*envelopes("stranger", (one for one in lies if one.device_id >= 0)), *MALFORMED]:
                await session.execute(sa.select(sa.func.pg_notify(CHANNEL, text)))

    # what is true comes after all of that
    async with node.db.write() as session:
        await session.execute(sa.update(Device).where(Device.user_id == eve.id).values(device_name="of-eve-too"))
        hers = (await session.scalars(sa.select(Device.id).where(Device.user_id == eve.id))).one()
        assert await session.scalar(sa.select(Device.trust).where(Device.id == pending)) == Trust.PENDING
    bus.publish([Hint(HintKind.DEVICE_ROW, hers), Hint(HintKind.DEVICE_STATUS, hers)])
    told = await spy.payload(
        events.DEVICES_CHANGED, where=lambda told: any(row["device_name"] == "of-eve-too" for row in told["devices"])
    )
    assert {row["id"] for row in told["devices"]} <= {hers}
    await plain.change(id=hers)
    [task_id] = await queue(node.db, [trusted], user_id=bob.id)
    bus.publish([Hint(HintKind.TASKS_WAITING, trusted)])
    assert [task["task_id"] for task in await agents[0].assigned()] == [task_id]
    assert all(one.open for one in agents), "a device that is there is not ended"
    for number, one in enumerate(agents):
        assigned = [payload for name, payload in one.heard if name == events.TASK_ASSIGNED]
        assert len(assigned) == (1 if number == 0 else 0)
    assert (await one_task(node.db, waits)).state == "queued"
    heard = json.dumps([*spy.heard, *plain.heard])
    assert "of-eve" in heard
    for his in ("of-bob", his_run, waits, bob.email, agents[0].machine.machine_id):
        assert his not in heard, his
