"""Registrations that cannot be: each is answered with what is wrong, nothing is written, and the server goes on."""

import asyncio
import json
from typing import Any

import pytest

from app.realtime.registering import REGISTRATIONS_MAX
from deployx_protocol import events, limits
from deployx_protocol.codes import REFUSALS, Code
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve
from tests.support.rawlink import RawLink

# One database: what is refused here does not reach one, and test_enrolling.py has tokens on both.
pytestmark = pytest.mark.databases("sqlite")

SEED = Machine(hostname="web-01").seed()
BAD: dict[str, Any] = {
    "nothing": None,
    "a list": [],
    "a string": "agent_register",
    "a number": 7,
    "no fields": {},
    **{f"no {name}": {key: value for key, value in SEED.items() if key != name} for name in SEED},
    **{f"{name} null": {**SEED, name: None} for name in SEED},
    **{f"{name} empty": {**SEED, name: ""} for name in SEED},
    **{f"{name} a number": {**SEED, name: 5} for name in SEED},
    **{f"{name} with NUL": {**SEED, name: "a\0b"} for name in SEED},
    **{f"{name} of 5000 characters": {**SEED, name: "x" * 5000} for name in SEED},
    "a line break": {**SEED, "hostname": "web\n[INFO] Agent registered: other"},
    "an escape sequence": {**SEED, "hostname": "web\x1b[2J"},
    "right to left": {**SEED, "hostname": "web\u202ebew"},
    "white space around": {**SEED, "hostname": " web "},
    "no address": {**SEED, "ip_address": "999.1.1.1"},
    "an address with a zone full of NUL": {**SEED, "ip_address": "fe80::1%\0"},
    "a generation beyond 64 bit": {**SEED, "generation": 2**63},
    "a negative generation": {**SEED, "generation": -1},
    "a generation that is a fraction": {**SEED, "generation": 1.5},
    "a protocol that is text": {**SEED, "protocol": "1"},
    "a key that is no hex": {**SEED, "public_key": "z" * 64},
    "a key without a signature": {**SEED, "public_key": "0" * 64},
    "too many facts": {**SEED, "facts": {str(n): "x" for n in range(limits.FACTS_MAX + 1)}},
    "a fact that is a number": {**SEED, "facts": {"cpus": 4}},
    "deep nesting": {**SEED, "facts": json.loads("[" * 40 + "]" * 40)},
    "NUL in an unknown field": {**SEED, "note": ["\0"]},
    "too many values": {**SEED, "note": [0] * (limits.PAYLOAD_NODES_MAX + 1)},
}


async def test_each_bad_payload_is_answered_and_writes_nothing(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    for name, payload in BAD.items():
        peer = agent(node)
        await peer.connect()
        event, failure = await peer.register_raw(payload)
        assert event == events.REGISTRATION_FAILED, name
        claimed = payload.get("agent_id") if isinstance(payload, dict) else None
        expected = claimed[: limits.AGENT_ID_MAX] if isinstance(claimed, str) and claimed.isprintable() else ""
        assert failure["agent_id"] == expected, name
        assert failure["code"] == "invalid_payload", name
        assert failure["message"].endswith("."), name
        assert failure["retryable"] is False, name
        assert peer.open, name
        await peer.close()
    assert await node.devices() == []
    assert await node.claims() == []


LET_THROUGH = {
    "lone surrogate": r'"a\ud800b"',
    "low surrogate": r'"a\udc00"',
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "1e999": "1e999",
    "40 digits": "9" * 40,
    "70 kB": '"' + "x" * 70_000 + '"',
    "no JSON": '"\xff',
}


async def test_json_that_others_let_through_is_refused(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    fields = json.dumps(SEED).removesuffix("}")
    for name, text in LET_THROUGH.items():
        async with RawLink.connected(node.url) as link:
            await link.send(f'42["agent_register",{fields},"hostname":{text}}}]')
            answer = await link.event_or_end()
            assert answer is None or answer[0] == events.REGISTRATION_FAILED, name
        assert await node.devices() == [], name
    await agent(node).start()  # the server goes on


async def test_a_registration_can_be_repeated_on_the_same_connection(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    peer = agent(node)
    await peer.connect()
    assert (await peer.register_raw({}))[0] == events.REGISTRATION_FAILED
    assert (await peer.register())[0] == events.REGISTRATION_SUCCESS


async def test_the_acknowledgement_says_the_same(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    peer = agent(node)
    await peer.connect()
    refused = await peer.call(events.AGENT_REGISTER, {})
    assert (refused["ok"], refused["error"]["code"]) == (False, "invalid_payload")
    accepted = await peer.call(events.AGENT_REGISTER, peer.machine.register(peer.url, peer.sid, peer.boot_id))
    assert accepted["ok"] and accepted["data"]["agent_id"] == peer.machine.agent_id


async def test_who_keeps_failing_is_cut_off(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    peer = agent(node)
    await peer.connect()
    for _ in range(REGISTRATIONS_MAX):
        await peer.register_raw({})
    await peer.emit(events.AGENT_REGISTER, {})
    ended = await peer.payload(events.SESSION_ENDED)
    assert (ended["code"], ended["retryable"], ended["retry_after_s"]) == ("server_busy", True, 60)
    await peer.ended()


TOKENS = {
    "none": "",
    "not a token": "letmein",
    "an unknown one": "dxe_687474703a2f2f3132372e302e302e31_" + "a" * 43,
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
async def test_a_wrong_token_is_invalid_credentials(token: str, serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="token")
    failure = await agent(node).refused(enrollment_token=token)
    assert (failure["code"], failure["retryable"]) == ("invalid_credentials", False)
    assert await node.devices() == []


async def test_a_wrong_token_is_not_let_in_by_approval_either(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    failure = await agent(node).refused(enrollment_token=TOKENS["an unknown one"])
    assert failure["code"] == "invalid_credentials"
    assert await node.devices() == []


async def test_another_protocol_is_named(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    failure = await agent(node).refused(protocol=99)
    assert failure["code"] == "protocol_unsupported"
    assert "99" in failure["message"]


async def test_every_code_says_whether_it_can_pass() -> None:
    assert REFUSALS.keys() == set(Code)


async def test_fault_17_malformed_events_crash_nothing_and_log_little(
    serve: Serve, agent: MakeAgent, lines: Lines
) -> None:
    node = await serve(enrollment="approval")
    steady = agent(node)
    await steady.start()
    wave = [_malformed(number) for number in range(2_000)]
    pending = iter(wave)

    async def storm() -> int:
        sent = 0
        while True:
            async with RawLink.connected(node.url) as link:
                for text in pending:
                    sent += 1
                    await link.send(text)
                    if not await link.alive():
                        break
                else:
                    return sent

    assert sum(await asyncio.gather(*(storm() for _ in range(4)))) == len(wave)
    assert steady.open
    assert (await steady.call(events.PING))["ok"]
    assert [row.agent_id for row in await node.devices()] == [steady.machine.agent_id]
    await agent(node).start()
    logged = lines()
    assert not [line for line in logged if "Traceback" in line or "[ERROR]" in line]
    assert len([line for line in logged if "[WARNING]" in line]) < 500


def _malformed(number: int) -> str | bytes:
    shapes: list[str | bytes] = [
        "42[]",
        "42{}",
        "42[1]",
        '42["agent_register"',
        '42["no_such_event",{}]',
        '42["connect",{}]',
        '42["disconnect"]',
        '42["ping",{"a":"\\u0000"}]',
        '42["registration_ack",{"generation":-1}]',
        '42["agent_leaving",{"reason":7}]',
        '451-["agent_register",{"_placeholder":true,"num":0}]',
        "42/other,[]",
        "43abc[]",
        '43[{"a":1}]',
        "44",
        "49",
        "4",
        "",
        "9",
        "40",
        '40{"token":1}',
        "1",
        "5",
        "6",
        "b" + "A" * 30,
        b"\x00\x01\x02",
        '42999999999999999999999["ping"]',
        '42["ping",' + "[" * 3000 + "]" * 3000 + "]",
        '42["' + "e" * 20_000 + '"]',
        "4" + "\ud7ff" * 20,
    ]
    return shapes[number % len(shapes)]
