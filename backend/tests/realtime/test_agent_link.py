"""The agents' own link, on the wire: what a Socket.IO peer may do there, and what ends a connection."""

import asyncio
import json
import socket
from collections import Counter
from contextlib import AsyncExitStack

import httpx2
import pytest
import websockets

from app import main
from app.realtime.agentlink import connection, handover, turns
from app.web.metrics import Metrics
from deployx_protocol import events
from deployx_protocol.packets import Why
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve, eventually
from tests.support.rawlink import RawLink

pytestmark = pytest.mark.databases("sqlite")  # nothing here depends on which it is

HANDSHAKE = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n{}\r\n"
GOOD_KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
GOOD_HEADERS = f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{GOOD_KEY}"


async def _acknowledgements(link: RawLink, count: int) -> list[int]:
    """The ids of the next ``count`` acknowledgements, in the order in which they came."""
    ids: list[int] = []
    while len(ids) < count:
        packet = await link._packet()
        assert packet is not None, f"the connection ended after {ids}"
        if packet.startswith("43"):
            ids.append(int(packet[2 : packet.index("[")]))
    return ids


async def test_the_link_takes_the_specifications_ping_interval_and_timeout(serve: Serve) -> None:
    node = await serve()
    async with RawLink.opened(node.url) as link:
        told = json.loads(str(link.received[0])[1:])
    assert (told["pingTimeout"], told["pingInterval"]) == (main.PING_TIMEOUT * 1000, main.PING_INTERVAL * 1000)
    assert (told["upgrades"], told["sid"] != link.sid) == ([], True)


async def test_a_message_may_come_in_pieces(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    async with RawLink.connected(node.url) as link:
        whole = "42" + json.dumps([events.AGENT_REGISTER, Machine().seed()])
        await link._socket.send([whole[:1], whole[1:40], whole[40:]])
        assert (await link.event_or_end() or ("",))[0] == events.REGISTRATION_SUCCESS


async def test_each_heartbeat_is_answered_whichever_way_it_is_taken(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    async with RawLink.connected(node.url) as link:
        await link.send('421["ping",{}]')
        assert str(await link._packet()).startswith('431[{"ok":false,"error":{"code":"not_registered"')
        await link.emit(events.AGENT_REGISTER, Machine().seed())
        await link.event(events.REGISTRATION_SUCCESS)
        for digits, payload in (("", "{}"), ("7", "{}"), ("8", '{"note":"x"}'), ("1234567890", "{}")):
            await link.send(f'42{digits}["ping",{payload}]')
            pong = json.loads(str(await link._packet())[2:])
            assert pong[0] == events.PONG
            if digits:
                assert (
                    str(await link._packet())
                    == f'43{digits}[{{"ok":true,"data":{json.dumps(pong[1], separators=(",", ":"))}}}]'
                )
        await link.send('4207["ping",{}]')
        assert await link.event_or_end() is None, "an acknowledgement id with a zero in front was taken"


async def test_what_is_kept_for_a_connection_is_as_long_as_its_messages(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = 0
    offer = handover._Protocol.get_buffer

    def offering(protocol: handover._Protocol, hint: int) -> memoryview:
        nonlocal longest
        room = offer(protocol, hint)
        longest = max(longest, len(room))
        return room

    monkeypatch.setattr(handover._Protocol, "get_buffer", offering)
    node = await serve()
    much, long = "x" * 8_192, "x" * 60_000
    async with RawLink.connected(node.url) as link:
        for number in range(1, 201):  # at once: far more than is read in one go
            await link.send(f'42{number}["agent_leaving",{{"reason":"{much}"}}]')
        assert await _acknowledgements(link, 200) == list(range(1, 201))
        assert 8_192 < longest < 2 * 8_192
        await link.send(f'421["agent_leaving",{{"reason":"{long}"}}]')
        assert await _acknowledgements(link, 1) == [1]


async def test_pieces_without_an_end_are_cut(serve: Serve) -> None:
    node = await serve(enrollment="approval")

    async def without_end() -> None:
        piece = "x" * 60_000
        async with RawLink.connected(node.url) as link:
            with pytest.raises(websockets.ConnectionClosed):
                await link._socket.send(piece for _ in range(1_000))

    await without_end()
    assert await node.devices() == []


async def test_what_comes_while_an_event_is_handled_waits_and_keeps_its_order(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    many = connection.WAITING_MAX * 4
    async with RawLink.connected(node.url) as link:
        register = json.dumps([events.AGENT_REGISTER, Machine().seed()])
        await link.send(f"421{register}")
        for number in range(2, many):
            await link.send(f'42{number}["ping",{{}}]')
        assert await _acknowledgements(link, many - 1) == list(range(1, many))
        assert await link.alive()


async def test_a_turn_of_the_loop_takes_what_it_has_time_for_and_then_everybody_in_turn(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "READ_S", 0.0)  # which is enough for one message
    monkeypatch.setattr(turns, "WORDS_S", 0.0)
    turn = 0
    taken: list[tuple[int, str]] = []
    read = connection.AgentConnection._read

    def reading(one: connection.AgentConnection, raw: bytes) -> None:
        taken.append((turn, one.sid))
        read(one, raw)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    node = await serve()
    each = list(range(1, 31))
    async with AsyncExitStack() as opened:
        links = [await opened.enter_async_context(RawLink.connected(node.url)) for _ in range(4)]
        monkeypatch.setattr(connection.AgentConnection, "_read", reading)
        counting = asyncio.create_task(count_turns())
        for link in links:
            for number in each:
                await link.send(f'42{number}["agent_leaving",{{}}]')
        assert [await _acknowledgements(link, len(each)) for link in links] == [each] * len(links)
        counting.cancel()
        assert max(Counter(number for number, _ in taken).values()) == 1
        assert all(len({sid for _, sid in taken[at : at + 8]}) > 2 for at in range(8, len(taken) - 30, 8))
        assert all([await link.alive() for link in links])


async def test_a_few_words_are_taken_when_there_is_no_time_for_more_but_not_before_what_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "READ_S", -1.0)
    these = turns.Turns()
    assert not these.is_over(turns.WORDS_BYTES)
    assert these.is_over(turns.WORDS_BYTES + 1)
    assert these.is_over(1)
    await asyncio.sleep(0)
    assert not these.is_over(1)


async def test_what_was_put_off_is_heard_though_its_peer_has_gone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await serve(enrollment="approval")
    async with RawLink.connected(node.url) as link:
        await link.emit(events.AGENT_REGISTER, Machine().seed())
        await link.event(events.REGISTRATION_SUCCESS)
        monkeypatch.setattr(turns, "WORDS_S", -1.0)  # every turn is over
        await link.send('42["agent_leaving",{"reason":"the battery is empty"}]')
    [row] = await node.devices()
    gone = await node.status(row.agent_id, "offline")
    assert (gone.status_cause, gone.status_detail) == ("agent_leaving", "the agent stopped: the battery is empty")


async def test_a_peer_that_does_not_read_is_cut(serve: Serve, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OUTGOING_MAX_BYTES", 100_000)
    node = await serve(enrollment="approval")
    async with RawLink.connected(node.url, max_queue=1) as link:
        await link.emit(events.AGENT_REGISTER, Machine().seed())
        await link.event(events.REGISTRATION_SUCCESS)
        link._socket.transport.pause_reading()

        async def flood() -> None:
            while True:
                await link._socket.send('421["no_such_event",{}]')

        with pytest.raises(websockets.ConnectionClosed):
            await asyncio.wait_for(flood(), 60)
        link.abort()
    [row] = await node.devices()
    assert (await node.status(row.agent_id, "offline")).status == "offline"
    assert any("Agent disconnected" in line for line in lines())


BROKEN: dict[str | bytes, Why] = {
    '40/admin,{"token":"x"}': Why.NAMESPACE,
    '42/admin,["ping",{}]': Why.NAMESPACE,
    '44{"message":"no"}': Why.TYPE,
    '42["ping",{}': Why.MALFORMED,
    '42{"ping":1}': Why.MALFORMED,
    "42[]": Why.MALFORMED,
    "42[7]": Why.MALFORMED,
    '42999999999999999999["ping"]': Why.MALFORMED,
    '42["disconnect","transport close"]': Why.RESERVED,
    "43[]": Why.MALFORMED,
    "5": Why.TYPE,
    "2probe": Why.MALFORMED,
    "4": Why.TYPE,
    '0{"sid":"x","upgrades":[],"pingInterval":1,"pingTimeout":1}': Why.TYPE,
    "2": Why.TYPE,
    "[" * 100_000: Why.TOO_LONG,
    '42["ping",' + "[" * 5_000 + "]" * 5_000 + "]": Why.TOO_DEEP,
    '42["\udcff"]': Why.MALFORMED,
    b"\x04bytes": Why.BINARY,
    "40": Why.MALFORMED,
}


async def test_what_breaks_the_protocol_ends_the_connection_and_is_counted(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Why] = []
    monkeypatch.setattr(Metrics, "refused_packet", lambda _metrics, why: counted.append(why))
    node = await serve(enrollment="approval")
    for packet, why in BROKEN.items():
        async with RawLink.connected(node.url) as link:
            if isinstance(packet, str):
                await link._socket.send(packet.encode("utf-8", "surrogateescape"), text=True)
            else:
                await link._socket.send(packet)
            assert await link.event_or_end() is None, packet
        assert counted == [why], packet
        counted.clear()


async def test_goodbyes_are_heard(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    for goodbye in ("41", "1"):
        machine = Machine()
        async with RawLink.connected(node.url) as link:
            await link.emit(events.AGENT_REGISTER, machine.seed())
            await link.event(events.REGISTRATION_SUCCESS)
            await link.send(goodbye)
            await node.status(machine.agent_id, "offline")


async def _answer_to(url: str, *pieces: str) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece.encode())
        await asyncio.sleep(0.05 * (len(pieces) - 1))  # or they come as one
    answer = await reader.read(4096)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "headers",
    [
        "Connection: Upgrade\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: no base64 at all\r\n",
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 99\r\n{GOOD_KEY}",
    ],
    ids=["no key", "short key", "no base64", "version 99"],
)
async def test_threat_20_a_handshake_that_fails_keeps_no_place(headers: str, serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval", anonymous_max=2)
    for _ in range(5):
        assert b" 400 " in (await _answer_to(node.url, HANDSHAKE.format(headers))).partition(b"\r\n")[0]
    await agent(node).start()


@pytest.mark.parametrize(
    ("handshake", "status"),
    [
        ([HANDSHAKE.format(GOOD_HEADERS)], b" 101 "),
        ([HANDSHAKE.format(GOOD_HEADERS)[:90], HANDSHAKE.format(GOOD_HEADERS)[90:]], b" 101 "),
        ([HANDSHAKE.format(GOOD_HEADERS).replace("websocket\r\n", "WebSocket\r\n")], b" 101 "),
        ([HANDSHAKE.format(f"{GOOD_HEADERS}X-A: 1\r\nX-A: 2\r\n")], b" 101 "),
        ([HANDSHAKE.format(GOOD_HEADERS.replace("Connection: Upgrade", "Connection: close"))], b" 400 "),
        ([HANDSHAKE.format(f"{GOOD_HEADERS}No header\r\n")], b" 400 "),
        ([HANDSHAKE.format(f"{GOOD_HEADERS}X: a\x00b\r\n")], b" 400 "),
        ([HANDSHAKE.format(GOOD_HEADERS).replace("HTTP/1.1", "HTTP/1.x")], b" 400 "),
    ],
    ids=["whole", "two pieces", "capitals", "a header twice", "no upgrade", "no header", "NUL", "no version"],
)
async def test_threat_20_a_handshake_is_judged_alike_however_it_comes(
    handshake: list[str], status: bytes, serve: Serve
) -> None:
    node = await serve(enrollment="approval")
    assert status in (await _answer_to(node.url, *handshake)).partition(b"\r\n")[0]


async def test_the_first_packet_comes_with_the_answer_to_the_handshake(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    head, _, frame = (await _answer_to(node.url, HANDSHAKE.format(GOOD_HEADERS))).partition(b"\r\n\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert (frame[0], frame[1]) == (0x81, len(frame) - 2)
    assert json.loads(frame[3:]).keys() >= {"sid", "pingInterval", "pingTimeout"}


async def test_browsers_say_keep_alive_as_well(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    headers = f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n{GOOD_KEY}"
    assert b" 101 " in (await _answer_to(node.url, HANDSHAKE.format(headers))).partition(b"\r\n")[0]


async def test_a_frame_without_a_mask_ends_the_connection(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    host, _, port = node.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(HANDSHAKE.format(f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{GOOD_KEY}").encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x81\x02" + b"40")
    await asyncio.wait_for(reader.read(-1), 15)  # all there is, up to the end
    writer.close()


@pytest.mark.parametrize(("trusted", "expected"), [(["127.0.0.1/32"], "192.0.2.7"), ([], "127.0.0.1")])
async def test_an_address_is_what_a_trusted_proxy_says(trusted: list[str], expected: str, serve: Serve) -> None:
    node = await serve(
        enrollment="approval", trusted_proxies=trusted, public_url=["http://127.0.0.1:8000"] if trusted else []
    )
    told = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "http"}
    async with RawLink.connected(node.url, additional_headers=told) as link:
        await link.emit(events.AGENT_REGISTER, Machine().seed())
        await link.event(events.REGISTRATION_SUCCESS)
    assert [row.source_ip for row in await node.devices()] == [expected]


async def test_a_key_is_for_the_websocket_alone(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    polling = agent(node)
    await polling.connect(transports=["polling"])
    name, failure = await polling.register()
    assert (name, failure["code"], failure["retryable"]) == (events.REGISTRATION_FAILED, "protocol_unsupported", False)
    assert await node.devices() == []
    await agent(node, polling.machine).start()


async def test_polling_can_be_turned_off(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval", polling=False)
    async with httpx2.AsyncClient() as http:
        answer = await http.get(f"{node.url}/socket.io/", params={"EIO": "4", "transport": "polling"})
    assert answer.status_code == 404
    client = agent(node)
    await client.connect(transports=["websocket"])
    assert (await client.register_raw(client.machine.seed()))[0] == events.REGISTRATION_SUCCESS


async def test_a_connection_that_is_reset_leaves_nothing(serve: Serve) -> None:
    node = await serve(enrollment="approval")
    link = node.app.state.handover._link
    for _ in range(20):
        async with RawLink.opened(node.url) as raw:
            sock = raw._socket.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            raw.abort()
    await eventually(lambda: not link._by_transport and not link._sockets, what="nothing left")
