"""The connection flow with a real agent process: the order of events, the log's words, what is stored when."""

import asyncio
import os
import signal
from pathlib import Path

from deployx_protocol import events
from deployx_protocol.messages import AgentRegister, IdentitySplit, RegistrationRequired
from deployx_protocol.states import Trust
from deployx_protocol.tokens import new_enrollment_token
from tests.support.agent_process import AgentProcess, StartAgent, read_json
from tests.support.scripted_peer import Peer

SEED_LINES = [
    "[INFO] Connecting to server...",
    "[INFO] Connected successfully",
    "[INFO] Registering agent: {hostname}",
    "[INFO] Registration successful",
    "[INFO] Agent ready - Listening for commands",
]


async def ready(agent: AgentProcess, times: int = 1) -> None:
    await agent.logged("Agent ready - Listening for commands", times)


async def test_registers_confirms_and_listens(peer: Peer, start_agent: StartAgent, state_dir: Path) -> None:
    agent = await start_agent(server_url=peer.origin)
    await ready(agent)
    ack = await peer.until(events.REGISTRATION_ACK)

    assert [seen.event for seen in peer.seen][:3] == ["connect", events.AGENT_REGISTER, events.REGISTRATION_ACK]
    assert ack.payload.generation == 1
    assert ack.machine_id_file["generation"] == 1, "the generation must be on disk before it is confirmed"
    message = peer.registrations()[0]
    assert message.hostname == os.uname().nodename
    assert message.platform == "linux"
    assert message.ip_address == "127.0.0.1"
    assert message.machine_id == read_json(state_dir / "machine_id.json")["machine_id"]
    assert message.agent_id.startswith(f"{message.hostname}-")
    assert message.origin == peer.origin
    assert message.generation == 0
    assert message.protocol == 1
    assert message.fingerprint
    assert message.facts["kernel"] == os.uname().release


async def test_says_the_tags_of_its_settings(peer: Peer, start_agent: StartAgent) -> None:
    await start_agent(server_url=peer.origin, tags="role=web,laptop")
    await peer.until(events.REGISTRATION_ACK)
    assert peer.registrations()[0].tags == {"role": "web", "laptop": ""}


async def test_log_has_the_specification_words_in_order(peer: Peer, start_agent: StartAgent) -> None:
    agent = await start_agent(server_url=peer.origin)
    await ready(agent)
    wanted = [line.format(hostname=os.uname().nodename) for line in SEED_LINES]
    words = [line.partition(" ")[2].partition("  ")[0] for line in agent.lines]
    positions = [words.index(line) for line in wanted]
    assert positions == sorted(positions)
    assert "[INFO] Agent Connected" in agent.log
    assert "[INFO] Status: Online" in agent.log
    registering = agent.lines[positions[2]]
    assert f"{wanted[2]}  agent_id=" in registering
    assert agent.lines[positions[3]].endswith(" status=registered")


async def test_each_start_has_a_boot_id_of_its_own_and_the_same_key(peer: Peer, start_agent: StartAgent) -> None:
    for count in (1, 2):
        agent = await start_agent(server_url=peer.origin)
        await peer.until(events.REGISTRATION_ACK, count)
        assert await agent.end(signal.SIGTERM) == 0
    first, second = peer.registrations()
    assert first.boot_id != second.boot_id
    assert (first.public_key, first.machine_id, first.agent_id) == (
        second.public_key,
        second.machine_id,
        second.agent_id,
    )
    assert second.generation == 1


async def test_heartbeat_goes_on_and_status_shows_the_pong(
    peer: Peer, start_agent: StartAgent, state_dir: Path
) -> None:
    peer.heartbeat_interval_s = 0.1
    agent = await start_agent(server_url=peer.origin, log_level="debug")
    await peer.until(events.PING, 5)
    await agent.logged("Pong received", 3)
    status = await start_agent("status", "--json")
    assert await status.end() == 0
    assert '"running": true' in status.output
    assert '"state": "active"' in status.output
    assert '"last_pong": "20' in status.output
    assert f'"server": "{peer.origin}"' in status.output


async def test_configured_heartbeat_interval_wins(peer: Peer, start_agent: StartAgent) -> None:
    await start_agent(server_url=peer.origin, heartbeat_interval=0.1)
    await peer.until(events.PING, 3)


async def test_missing_pong_is_a_socket_error_and_reconnects(peer: Peer, start_agent: StartAgent) -> None:
    peer.pongs = False
    agent = await start_agent(server_url=peer.origin, heartbeat_interval=0.1, pong_timeout=0.4)
    await peer.until(events.AGENT_REGISTER, 2)
    assert "no pong within 0.4 s" in agent.log
    await peer.until("disconnect")


async def test_pending_device_keeps_its_socket_and_spends_no_attempt(peer: Peer, start_agent: StartAgent) -> None:
    peer.trust = Trust.PENDING
    agent = await start_agent(server_url=peer.origin, heartbeat_interval=0.1, reconnect_attempts=1)
    await peer.until(events.PING, 5)
    assert len(peer.all("connect")) == 1
    assert "trust=pending" in agent.log


async def test_registration_required_registers_again_on_the_same_connection(
    peer: Peer, start_agent: StartAgent
) -> None:
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    await peer.emit(sid, events.REGISTRATION_REQUIRED, RegistrationRequired(reason="the device was accepted"))
    again = await peer.until(events.REGISTRATION_ACK, 2)
    assert again.sid == sid
    assert again.payload.generation == 2
    assert [message.generation for message in peer.registrations()] == [0, 1]
    await ready(agent, 2)


async def test_asked_twice_at_once_it_registers_one_after_the_other_and_takes_every_generation(
    peer: Peer, start_agent: StartAgent
) -> None:
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    for reason in ("the device was accepted", "its row was put back"):
        await peer.emit(sid, events.REGISTRATION_REQUIRED, RegistrationRequired(reason=reason))
    assert (await peer.until(events.REGISTRATION_ACK, 3)).payload.generation == 3
    assert [message.generation for message in peer.registrations()] == [0, 1, 2]
    await ready(agent, 2)  # not in between
    assert "nobody waits for" not in agent.log


async def test_identity_split_makes_a_new_device(peer: Peer, start_agent: StartAgent, state_dir: Path) -> None:
    token = new_enrollment_token(peer.origin)
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    await peer.emit(sid, events.IDENTITY_SPLIT, IdentitySplit(enrollment_token=token, message="This is a copy."))
    await peer.until(events.REGISTRATION_ACK, 2)
    copy, own = peer.registrations()

    assert own.public_key != copy.public_key
    assert own.machine_id != copy.machine_id
    assert own.agent_id != copy.agent_id
    assert (own.enrollment_token, own.generation) == (token, 0)
    assert read_json(state_dir / "machine_id.json")["source"] == "split"
    assert len(list(state_dir.glob("machine_id.json.copied-*"))) == 1
    assert len(list(state_dir.glob("agent_key.json.copied-*"))) == 1
    assert token not in agent.log
    assert token.rsplit("_", 1)[1] not in (state_dir / "enrollment.json").read_text()


async def test_identity_split_while_registering(peer: Peer, start_agent: StartAgent) -> None:
    async def split_first(sid: str, _message: AgentRegister) -> None:
        peer.answer = peer.accept
        token = new_enrollment_token(peer.origin)
        await peer.emit(sid, events.IDENTITY_SPLIT, IdentitySplit(enrollment_token=token, message="A copy."))

    peer.answer = split_first
    await start_agent(server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK)
    assert len({message.public_key for message in peer.registrations()}) == 2


async def test_identity_split_with_a_foreign_token_changes_nothing(
    peer: Peer, start_agent: StartAgent, state_dir: Path
) -> None:
    await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    foreign = new_enrollment_token("https://elsewhere.example")
    await peer.emit(sid, events.IDENTITY_SPLIT, IdentitySplit(enrollment_token=foreign, message="A copy."))
    await peer.until(events.REGISTRATION_ACK, 2)
    first, second = peer.registrations()
    assert first.public_key == second.public_key
    assert second.enrollment_token == ""
    assert not list(state_dir.glob("*.copied-*"))


async def test_sigterm_says_goodbye_and_exits_0(peer: Peer, start_agent: StartAgent, state_dir: Path) -> None:
    agent = await start_agent(server_url=peer.origin)
    await ready(agent)
    assert await agent.end(signal.SIGTERM) == 0
    leaving = await peer.until(events.AGENT_LEAVING)
    assert leaving.payload.reason == "SIGTERM"
    await peer.until("disconnect")
    names = [seen.event for seen in peer.seen]
    assert names.index(events.AGENT_LEAVING) < names.index("disconnect")
    assert read_json(state_dir / "status.json")["state"] == "stopped"


async def test_sigterm_while_registering_again_says_goodbye_too(peer: Peer, start_agent: StartAgent) -> None:
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid

    async def silence(_sid: str, _message: AgentRegister) -> None:
        pass

    peer.answer = silence
    await peer.emit(sid, events.REGISTRATION_REQUIRED, RegistrationRequired(reason="the device was accepted"))
    await peer.until(events.AGENT_REGISTER, 2)
    assert await agent.end(signal.SIGTERM) == 0
    assert (await peer.until(events.AGENT_LEAVING)).payload.reason == "SIGTERM"


async def test_the_server_is_found_by_its_name(peer: Peer, start_agent: StartAgent) -> None:
    await start_agent(server_url=f"http://localhost:{peer.port}")
    await peer.until(events.REGISTRATION_ACK)
    assert peer.registrations()[0].origin == f"http://localhost:{peer.port}"


async def test_sigint_while_retrying_exits_0_at_once(peer: Peer, start_agent: StartAgent) -> None:
    await peer.stop()
    agent = await start_agent(server_url=peer.origin, reconnect_delay=60)
    await agent.logged("Retrying connection")
    async with asyncio.timeout(30):  # half of what it would wait
        assert await agent.end(signal.SIGINT) == 0


async def test_unknown_event_is_ignored(peer: Peer, start_agent: StartAgent) -> None:
    peer.heartbeat_interval_s = 0.1
    await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    await peer.sio.emit("an_event_of_tomorrow", {"x": [1, 2]}, to=sid)
    await peer.sio.emit("connect", {}, to=sid)
    await peer.until(events.PING, len(peer.all(events.PING)) + 2)
    assert len(peer.all("connect")) == 1
