"""What a registration is signed for: this connection, this server, every field."""

import msgspec
import pytest
from nacl.signing import SigningKey

from deployx_protocol import events
from deployx_protocol.messages import AgentRegister
from deployx_protocol.signing import register_bytes
from tests.support.machines import MakeAgent
from tests.support.node import Serve

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")


async def test_a_signature_of_another_connection_is_refused(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    victim, thief = agent(node), agent(node)
    await victim.connect()
    await thief.connect()
    overheard = victim.machine.register(node.url, victim.sid, victim.boot_id)
    name, failure = await thief.register_raw(overheard)
    assert (name, failure["code"]) == (events.REGISTRATION_FAILED, "invalid_credentials")
    assert await node.devices() == []
    assert (await victim.register_raw(overheard))[0] == events.REGISTRATION_SUCCESS


async def test_a_signature_by_another_key_is_refused(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    forger = agent(node)
    await forger.connect()
    payload = forger.machine.register(node.url, forger.sid, forger.boot_id)
    unsigned = msgspec.convert(payload, AgentRegister)
    payload["signature"] = SigningKey.generate().sign(register_bytes(unsigned, forger.sid)).signature.hex()
    name, failure = await forger.register_raw(payload)
    assert (name, failure["code"], failure["retryable"]) == (events.REGISTRATION_FAILED, "invalid_credentials", False)
    assert await node.devices() == []


async def test_tags_of_the_agents_settings_are_kept_apart_from_those_of_people(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    peer = agent(node)
    await peer.start(tags={"role": "web", "laptop": ""})
    await peer.close()
    await peer.start(tags={"role": "db"})
    (device,) = await node.devices()
    assert (device.agent_tags, device.tags) == ({"role": "db"}, {})


CHANGED = {
    "agent_id": "other",
    "hostname": "other",
    "platform": "other",
    "ip_address": "198.51.100.1",
    "machine_id": "other",
    "protocol": 0,
    "agent_version": "9",
    "generation": 5,
    "boot_id": "0" * 32,
    "journal_id": "0" * 32,
    "journal_high_water": 5,
    "fingerprint": {},
    "facts": {},
    "tags": {"role": "db"},
    "policy": "other",
    "enrollment_token": "other",
}


async def test_every_field_is_signed(serve: Serve, agent: MakeAgent) -> None:
    signed = set(AgentRegister.__struct_fields__) - {"signature", "public_key", "origin"}
    assert CHANGED.keys() == signed
    node = await serve(enrollment="approval")
    for field, value in CHANGED.items():
        peer = agent(node)
        await peer.connect()
        payload = peer.machine.register(node.url, peer.sid, peer.boot_id) | {field: value}
        name, failure = await peer.register_raw(payload)
        assert name == events.REGISTRATION_FAILED, field
        assert failure["code"] in ("invalid_credentials", "invalid_payload"), field
        await peer.close()
    assert await node.devices() == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "http://localhost"]
)
async def test_another_origin_is_refused(origin: str, serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    failure = await agent(node).refused(origin=origin)
    assert (failure["code"], failure["retryable"]) == ("wrong_origin", False)
    assert await node.devices() == []


async def test_loopback_names_count_only_without_a_public_url(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    port = node.settings.port
    for name in ("127.0.0.1", "localhost", "[::1]"):
        await agent(node).start(origin=f"http://{name}:{port}")
    public = await serve(enrollment="approval", public_url=["https://deployx.example.com"])
    assert (await agent(public).refused())["code"] == "wrong_origin"
    await agent(public).start(origin="https://deployx.example.com")
