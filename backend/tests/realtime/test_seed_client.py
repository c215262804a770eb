"""A client that knows only the specification: five fields, the default path, namespace and transports."""

import asyncio

import pytest

from app.accounts.permissions import Role
from deployx_protocol import events
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Serve, eventually
from tests.support.peers import Watch
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson

pytestmark = [
    pytest.mark.databases("sqlite"),  # nothing here depends on which it is
    # python-socketio's client does not release the response to its last POST.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <function Connection.__del__:pytest.PytestUnraisableExceptionWarning"
    ),
]

TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
async def test_under_approval_it_works_as_unverified(
    transports: list[str], serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    dashboard = await watch(node, await person())
    client = agent(node)
    await client.connect(transports=transports)
    name, success = await client.register_raw(client.machine.seed())
    assert (name, success["agent_id"]) == (events.REGISTRATION_SUCCESS, client.machine.agent_id)
    assert (success["trust"], success["generation"]) == ("unverified", 0)
    await dashboard.change(status="online", agent_id=client.machine.agent_id)
    await client.emit(events.PING)
    await client.payload(events.PONG)
    if transports == ["polling", "websocket"]:
        assert client.sio.transport() == "websocket"
    row = await node.device(client.machine.agent_id)
    assert (row.trust, row.public_key, row.status) == ("unverified", None, "online")
    await client.close()
    await dashboard.change(status="offline", agent_id=client.machine.agent_id)
    assert (await node.device(client.machine.agent_id)).status == "offline"


async def test_under_token_nothing_is_written(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="token")
    client = agent(node)
    await client.connect(transports=["polling", "websocket"])
    name, failure = await client.register_raw(client.machine.seed())
    assert (name, failure["code"]) == (events.REGISTRATION_FAILED, "invalid_credentials")
    assert failure["agent_id"] == client.machine.agent_id
    assert await node.devices() == []
    assert await node.claims() == []


async def test_the_newest_connection_of_an_unverified_row_wins(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    older, newer = agent(node, machine), agent(node, machine)
    for client in (older, newer):
        await client.connect()
        await client.register_raw(machine.seed())
    ended = await older.payload(events.SESSION_ENDED)
    assert (ended["code"], ended["retryable"]) == ("superseded", False)
    await older.ended()
    [row] = await node.devices()
    assert (row.status, row.session_epoch) == ("online", 2)
    assert newer.open
    assert (await newer.call(events.PING))["ok"]


async def test_it_gives_way_when_a_key_claims_its_ids(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    client = agent(node, machine)
    await client.connect()
    await client.register_raw(machine.seed())
    keyed = agent(node, machine)
    await keyed.start()
    assert (await client.payload(events.SESSION_ENDED))["code"] == "superseded"
    [row] = await node.devices()
    assert (row.public_key, row.trust, row.status) == (machine.public_key, "pending", "online")


async def test_two_rows_give_way_to_a_key_that_names_both(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    by_machine, by_agent = Machine(), Machine()
    for machine in (by_machine, by_agent):
        client = agent(node, machine)
        await client.connect()
        await client.register_raw(machine.seed())
    both = Machine(machine_id=by_machine.machine_id, agent_id=by_agent.agent_id)
    await agent(node, both).start()
    first, second = await node.devices()
    assert (first.public_key, first.machine_id, first.agent_id) == (both.public_key, both.machine_id, both.agent_id)
    assert (second.public_key, second.machine_id) == (None, by_agent.machine_id + "~2")
    assert second.agent_id == by_agent.agent_id + "~2"


async def test_a_reconnect_finds_its_row(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    for _ in range(3):
        client = agent(node, machine)
        await client.connect()
        assert (await client.register_raw(machine.seed()))[0] == events.REGISTRATION_SUCCESS
        await client.close()
        await node.status(machine.agent_id, "offline")
    assert len(await node.devices()) == 1


async def test_nobody_owns_it_and_only_administrators_see_it(
    serve: Serve, agent: MakeAgent, watch: Watch, person: MakePerson
) -> None:
    node = await serve(enrollment="approval")
    operator = await person("bob@example.test", Role.OPERATOR)
    client = agent(node)
    await client.connect()
    await client.register_raw(client.machine.seed())
    assert await (await watch(node, operator, batch=True)).snapshot() == {}
    assert list(await (await watch(node, await person(), batch=True)).snapshot()) == [1]


async def test_threat_01_nothing_but_a_registration_is_dispatched_before_it(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    client = agent(node)
    await client.connect()
    for event in (events.PING, events.REGISTRATION_ACK, events.AGENT_LEAVING):
        answer = await client.call(event, {"generation": 1})
        assert (answer["ok"], answer["error"]["code"]) == (False, "not_registered")
    assert client.heard == []
    failed = await client.register_raw({})
    assert failed[0] == events.REGISTRATION_FAILED
    assert (await client.call(events.PING))["error"]["code"] == "not_registered"


@pytest.fixture
def much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a connection soon is then not the deadline to register; by `usefixtures`, so that it is before the
    server."""
    monkeypatch.setattr("deployx_protocol.limits.REGISTER_DEADLINE_S", 600.0)


@pytest.mark.usefixtures("much_time")
async def test_threat_01_an_event_before_connect_cuts_the_transport(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    async with RawLink.opened(node.url) as link:
        await link.emit(events.AGENT_REGISTER, Machine().seed())
        assert await link.event_or_end() is None
    assert await node.devices() == []


async def test_threat_01_the_deadline_ends_a_connection_that_does_not_register(
    serve: Serve, agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployx_protocol.limits.REGISTER_DEADLINE_S", 1.0)
    node = await serve(enrollment="approval")
    registered, silent, polling = agent(node), agent(node), agent(node)
    await registered.start()
    await silent.connect()
    await polling.connect(transports=["polling"])
    async with RawLink.opened(node.url) as nameless:
        assert await nameless.event_or_end() is None
    await silent.ended()
    await polling.ended()
    assert registered.open
    assert (await registered.call(events.PING))["ok"]


@pytest.mark.usefixtures("much_time")
@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "*"])
async def test_threat_02_an_event_with_a_reserved_name_calls_no_handler(
    name: str, serve: Serve, agent: MakeAgent
) -> None:
    node = await serve(enrollment="approval")
    device = agent(node)
    await device.start()
    before = await node.device(device.machine.agent_id)
    async with RawLink.connected(node.url) as link:
        await link.emit(name, "transport close")
        assert await link.event_or_end() is None
    await device.emit("no_such_event", {})
    assert (await device.call(events.PING))["ok"]
    assert (await node.device(device.machine.agent_id)).session_epoch == before.session_epoch


@pytest.mark.usefixtures("much_time")
@pytest.mark.parametrize("message", [b"\x04bytes", '451-["agent_register",{"_placeholder":true,"num":0}]', "40"])
async def test_threat_02_binary_packets_and_a_second_connect_are_refused(message: str | bytes, serve: Serve) -> None:
    node = await serve(enrollment="approval")
    async with RawLink.connected(node.url) as link:
        await link.send(message)
        assert await link.event_or_end() is None


async def test_threat_20_one_address_opens_so_many_anonymous_connections_and_no_more(
    serve: Serve, agent: MakeAgent
) -> None:
    node = await serve(enrollment="approval", anonymous_max=3)
    for _ in range(5):
        await agent(node).start()  # registered ones never count
    crowd = [agent(node) for _ in range(6)]
    results = await asyncio.gather(*(peer.connect() for peer in crowd), return_exceptions=True)
    assert sum(result is None for result in results) == 3
    await next(peer for peer, result in zip(crowd, results, strict=True) if result is None).close()

    async def has_room() -> bool:
        try:
            await agent(node).connect()
        except Exception:
            return False
        return True

    await eventually(has_room, what="room for another one")
