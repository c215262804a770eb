"""What a start does before it dials: settings, enrolment, identity. With real processes where the exit code counts."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from deployx_protocol import events
from deployx_protocol.tokens import new_enrollment_token
from tests.support.agent_process import StartAgent, read_json
from tests.support.scripted_peer import Peer


async def test_without_token_and_key_nothing_is_dialled(start_agent: StartAgent, state_dir: Path) -> None:
    agent = await start_agent("run")
    assert await agent.end() == 78
    assert "deployx-agent enroll TOKEN" in agent.log
    assert "Connecting" not in agent.log
    assert {path.name for path in state_dir.iterdir()} == {"lock"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"server_url": "ftp://example.com"}, "should look like https://"),
        ({"server_url": "http://192.0.2.1"}, "plain http"),
        ({"server_url": "https://example.com/deployx"}, "must end after the host and port"),
        ({"server_url": "https://user:pw@example.com"}, "user name or password"),
        ({"reconnect_attempts": "many"}, "DEPLOYX_RECONNECT_ATTEMPTS must be a whole number"),
        ({"heartbeat_interval": "nan"}, "DEPLOYX_HEARTBEAT_INTERVAL must be a number of seconds"),
        ({"enrollment_token": "dxe_nonsense"}, "not an enrolment token"),
        ({"ca_file": "/nowhere/ca.pem"}, "cannot be read"),
        ({"config": "/nowhere/agent.toml"}, "settings file /nowhere/agent.toml cannot be read"),
    ],
)
async def test_unusable_configuration_exits_78_with_a_sentence(
    start_agent: StartAgent, settings: dict[str, str], sentence: str
) -> None:
    agent = await start_agent("run", **settings)
    assert await agent.end() == 78
    assert sentence in agent.log
    assert len(agent.lines) == 1, "one clear line, no traceback"


async def test_enroll_then_run_presents_the_token_once(peer: Peer, start_agent: StartAgent, state_dir: Path) -> None:
    token = new_enrollment_token(peer.origin)
    enroll = await start_agent("enroll", token)
    assert await enroll.end() == 0
    assert peer.origin in enroll.output
    assert (state_dir / "enrollment.json").stat().st_mode & 0o777 == 0o600
    for count in (1, 2):
        agent = await start_agent("run")
        await peer.until(events.REGISTRATION_ACK, count)
        assert await agent.end(signal.SIGTERM) == 0
        assert token.rsplit("_", 1)[1] not in agent.log
    assert [message.enrollment_token for message in peer.registrations()] == [token, ""]
    assert "token" not in read_json(state_dir / "enrollment.json")


@pytest.mark.parametrize("token", ["", "-", "dxe_nonsense"])
async def test_enrolling_with_no_token_changes_nothing(
    peer: Peer, start_agent: StartAgent, state_dir: Path, token: str
) -> None:
    enroll = await start_agent("enroll", token, server_url=peer.origin)
    assert await enroll.end() == 78
    assert "not an enrolment token" in enroll.log
    assert not list(state_dir.iterdir())


async def test_token_in_the_environment_is_not_sent_again(peer: Peer, start_agent: StartAgent) -> None:
    token = new_enrollment_token(peer.origin)
    for count in (1, 2):
        agent = await start_agent("run", enrollment_token=token)
        await peer.until(events.REGISTRATION_ACK, count)
        await agent.end(signal.SIGTERM)
    assert [message.enrollment_token for message in peer.registrations()] == [token, ""]


async def test_token_is_never_sent_to_another_server(peer: Peer, start_agent: StartAgent) -> None:
    token = new_enrollment_token("https://elsewhere.example")
    agent = await start_agent("run", server_url=peer.origin, enrollment_token=token)
    assert await agent.end() == 78
    assert "is for https://elsewhere.example" in agent.log
    assert not peer.seen


async def test_machine_id_and_agent_id_can_be_set(peer: Peer, start_agent: StartAgent, state_dir: Path) -> None:
    await start_agent("run", server_url=peer.origin, machine_id="machine-7", agent_id="till-7")
    await peer.until(events.REGISTRATION_ACK)
    message = peer.registrations()[0]
    assert (message.machine_id, message.agent_id) == ("machine-7", "till-7")
    assert read_json(state_dir / "machine_id.json")["source"] == "override"


async def test_facts_come_from_the_root_that_is_set(peer: Peer, start_agent: StartAgent, tmp_path: Path) -> None:
    dmi = tmp_path / "host/sys/class/dmi/id"
    dmi.mkdir(parents=True)
    (dmi / "product_uuid").write_text("4C4C4544-0042-3510-8051-B4C04F564433\n")
    (tmp_path / "host/etc").mkdir()
    (tmp_path / "host/etc/os-release").write_text('PRETTY_NAME="The Host"\n')
    await start_agent("run", server_url=peer.origin, facts_root=tmp_path / "host")
    await peer.until(events.REGISTRATION_ACK)
    message = peer.registrations()[0]
    assert message.machine_id == "4c4c4544-0042-3510-8051-b4c04f564433"
    assert message.facts["os"] == "The Host"
    assert set(message.fingerprint) == {"product_uuid"}


@pytest.mark.parametrize(("level", "shown"), [("debug", True), ("info", False)])
async def test_log_level(peer: Peer, start_agent: StartAgent, level: str, shown: bool) -> None:
    agent = await start_agent("run", server_url=peer.origin, log_level=level)
    await agent.logged("Agent ready - Listening for commands")
    assert ("[DEBUG] Agent state changed" in agent.log) == shown


async def test_settings_file_and_flags(peer: Peer, start_agent: StartAgent, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(f'server_url = "{peer.origin}"\nagent_id = "from-file"\nmachine_id = "from-file"\n')
    await start_agent("run", "--agent-id", "from-flag", config=file, machine_id="from-env")
    await peer.until(events.REGISTRATION_ACK)
    message = peer.registrations()[0]
    assert (message.machine_id, message.agent_id) == ("from-env", "from-flag")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def _open_to_all(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("name", "damage"),
    [("machine_id.json", _truncate), ("machine_id.json", _open_to_all), ("agent_key.json", _truncate)],
)
async def test_fault_13_damaged_identity_is_set_aside_and_the_agent_starts(
    peer: Peer, start_agent: StartAgent, state_dir: Path, name: str, damage: Callable[[Path], None]
) -> None:
    first = await start_agent("run", server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK)
    await first.end(signal.SIGTERM)
    damage(state_dir / name)

    agent = await start_agent("run", server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK, 2)
    before, after = peer.registrations()
    assert "cannot be used" in agent.log
    assert len(list(state_dir.glob(f"{name}.bad-*"))) == 1
    assert after.generation == 0
    assert after.machine_id == before.machine_id
    assert (after.public_key == before.public_key) == (name == "machine_id.json")
    assert await agent.end(signal.SIGTERM) == 0
    third = await start_agent("run", server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK, 3)
    assert "cannot be used" not in third.log


async def test_folder_that_cannot_be_made_exits_78(start_agent: StartAgent, tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    agent = await start_agent("run", folder=blocker / "state", server_url="http://127.0.0.1:9")
    assert await agent.end() == 78
    assert "cannot be used" in agent.log
    assert "Traceback" not in agent.log


async def test_shared_folder_is_refused(start_agent: StartAgent, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    agent = await start_agent("run", folder=shared, server_url="http://127.0.0.1:9")
    assert await agent.end() == 78
    assert "shared by everyone" in agent.log
