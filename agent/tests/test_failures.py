"""The specification's error table with real agents: what each failure looks like, and what follows from it."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from deployx_protocol import events
from deployx_protocol.codes import REFUSALS, Code
from deployx_protocol.messages import AgentRegister
from deployx_protocol.tokens import new_enrollment_token
from tests.support.agent_process import StartAgent, read_json
from tests.support.scripted_peer import Peer


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(50)
    yield listener.getsockname()[1]
    listener.close()


async def test_server_unavailable_retries_ten_times_then_exits_69(
    start_agent: StartAgent, peer: Peer, state_dir: Path
) -> None:
    await peer.stop()
    agent = await start_agent(server_url=peer.origin, reconnect_delay=0.01)
    assert await agent.end() == 69
    assert agent.log.count("Connecting to server...") == 1 + 10
    assert agent.log.count("[ERROR] Connection failed") == 11
    assert agent.log.count("delay_s=0.01") == 10
    assert "attempt=10" in agent.log
    assert "No attempts left" in agent.log
    assert read_json(state_dir / "status.json")["state"] == "stopped"


async def test_zero_attempts_means_without_end(start_agent: StartAgent, peer: Peer) -> None:
    await peer.stop()
    agent = await start_agent(server_url=peer.origin, reconnect_delay=0.01, reconnect_attempts=0)
    await agent.logged("Connecting to server...", 15)
    await peer.start()
    await peer.until(events.REGISTRATION_ACK)


async def test_network_timeout_retries_with_backoff(start_agent: StartAgent, deaf_port: int) -> None:
    agent = await start_agent(
        server_url=f"http://127.0.0.1:{deaf_port}", connect_timeout=0.1, reconnect_delay=0.05, reconnect_attempts=2
    )
    assert await agent.end() == 69
    assert agent.log.count("[WARNING] Connection timed out") == 3


NEVER_ANSWERS = """
import socket, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
"""


async def test_a_lookup_that_hangs_is_a_timeout_and_holds_up_no_stop(
    start_agent: StartAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NEVER_ANSWERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    agent = await start_agent(forked=False, server_url="https://deployx.example", connect_timeout=0.1)
    await agent.logged("[WARNING] Connection timed out", 2)
    assert await agent.end(signal.SIGTERM) == 0


async def test_a_name_that_does_not_exist_is_a_failure(
    start_agent: StartAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "def unknown(*_, **__): raise socket.gaierror(-2, 'Name or service not known')\n"
        "socket.getaddrinfo = unknown\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    agent = await start_agent(
        forked=False, server_url="https://deployx.example", reconnect_attempts=1, reconnect_delay=0.01
    )
    assert await agent.end() == 69
    assert agent.log.count('[ERROR] Connection failed  error="Name or service not known"') == 2


async def test_unanswered_registration_is_a_timeout(peer: Peer, start_agent: StartAgent) -> None:
    async def silence(_sid: str, _message: AgentRegister) -> None:
        peer.answer = peer.accept

    peer.answer = silence
    agent = await start_agent(server_url=peer.origin, connect_timeout=2)
    await peer.until(events.REGISTRATION_ACK)
    assert "did not answer agent_register in time" in agent.log
    assert len({seen.sid for seen in peer.all(events.AGENT_REGISTER)}) == len(peer.registrations()) >= 2


FINAL = [code for code, refusal in REFUSALS.items() if not refusal.retryable]
PASSING = [code for code, refusal in REFUSALS.items() if refusal.retryable]


@pytest.mark.parametrize("code", [Code.INVALID_CREDENTIALS, Code.WRONG_ORIGIN, Code.SUPERSEDED])
async def test_final_refusal_exits_without_retry(peer: Peer, start_agent: StartAgent, code: Code) -> None:
    peer.refuse(code)
    agent = await start_agent(server_url=peer.origin)
    assert await agent.end() == REFUSALS[code].exit_code
    assert f"[ERROR] Registration failed  code={code}" in agent.log
    assert len(peer.registrations()) == 1


async def test_invalid_credentials_exit_77(peer: Peer, start_agent: StartAgent) -> None:
    peer.refuse(Code.INVALID_CREDENTIALS)
    token = new_enrollment_token(peer.origin)
    agent = await start_agent(enrollment_token=token)
    assert await agent.end() == 77
    assert peer.registrations()[0].enrollment_token == token
    assert token.rsplit("_", 1)[1] not in agent.log


async def test_registration_failed_is_retried_and_spends_no_attempt(peer: Peer, start_agent: StartAgent) -> None:
    peer.refuse(Code.SERVER_UNAVAILABLE, retry_after_s=0.05, times=4)
    agent = await start_agent(server_url=peer.origin, reconnect_attempts=2)
    await peer.until(events.REGISTRATION_ACK)
    assert len(peer.registrations()) == 5
    assert agent.log.count("[WARNING] Registration failed  code=server_unavailable") == 4
    await agent.logged("Registration successful")


async def test_server_vanishes_and_the_agent_comes_back(peer: Peer, start_agent: StartAgent) -> None:
    agent = await start_agent(server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK)
    await peer.stop()
    await agent.logged("[ERROR] Connection failed")
    assert "Disconnected from server" in agent.log
    await peer.start()
    await peer.until(events.REGISTRATION_ACK, 2)
    first, second = peer.registrations()
    assert (first.boot_id, first.generation, second.generation) == (second.boot_id, 0, 1)


async def test_lost_connection_gives_up_after_ten_attempts(peer: Peer, start_agent: StartAgent) -> None:
    agent = await start_agent(server_url=peer.origin, reconnect_delay=0.005)
    await peer.until(events.REGISTRATION_ACK)
    await peer.stop()
    assert await agent.end() == 69
    assert agent.log.count("Connecting to server...") == 1 + 10


async def test_server_shutdown_reconnects(peer: Peer, start_agent: StartAgent) -> None:
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    await peer.end_session(sid, Code.SERVER_SHUTDOWN, retry_after_s=0.1)
    await peer.until(events.REGISTRATION_ACK, 2)
    assert "The server ended the session  code=server_shutdown" in agent.log


@pytest.mark.parametrize(("code", "exit_code"), [(Code.SUPERSEDED, 75), (Code.REMOVED, 77)])
async def test_session_ended_for_good_exits(peer: Peer, start_agent: StartAgent, code: Code, exit_code: int) -> None:
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    await peer.end_session(sid, code)
    assert await agent.end() == exit_code
    assert f"[ERROR] The server ended the session  code={code}" in agent.log
    assert len(peer.all("connect")) == 1


async def test_nonsense_from_the_server_is_a_socket_error(peer: Peer, start_agent: StartAgent) -> None:
    async def nonsense(sid: str, _message: AgentRegister) -> None:
        peer.answer = peer.accept
        await peer.sio.emit(events.REGISTRATION_SUCCESS, {"agent_id": 5}, to=sid)

    peer.answer = nonsense
    agent = await start_agent(server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK)
    assert "does not allow" in agent.log


async def test_flooding_server_is_cut_off_and_memory_stays(peer: Peer, start_agent: StartAgent) -> None:
    agent = await start_agent(server_url=peer.origin)
    sid = (await peer.until(events.REGISTRATION_ACK)).sid
    agent.process.send_signal(signal.SIGSTOP)
    for _ in range(3_000):
        await peer.sio.emit("noise", {"x": "y" * 50}, to=sid)
    agent.process.send_signal(signal.SIGCONT)
    await peer.emit(sid, events.REGISTRATION_REQUIRED, _required())
    await peer.until(events.REGISTRATION_ACK, 2)


def _required() -> object:
    from deployx_protocol.messages import RegistrationRequired

    return RegistrationRequired(reason="still there")


async def test_second_agent_on_one_state_folder_exits_75(peer: Peer, start_agent: StartAgent) -> None:
    first = await start_agent(server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK)
    second = await start_agent(server_url=peer.origin)
    assert await second.end() == 75
    assert f"Another agent (process {first.process.pid}) is using the state folder" in second.log
    assert len(peer.all("connect")) == 1


async def test_killed_agent_leaves_the_folder_free(peer: Peer, start_agent: StartAgent) -> None:
    first = await start_agent(server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK)
    await first.end(signal.SIGKILL)
    status = await start_agent("status")
    assert await status.end() == 3
    assert "The agent is not running." in status.output
    await start_agent(server_url=peer.origin)
    await peer.until(events.REGISTRATION_ACK, 2)


async def test_redirect_to_another_origin_is_refused(peer: Peer, start_agent: StartAgent) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"{peer.origin}{request.path_qs}")

    application = web.Application()
    application.router.add_get("/{path:.*}", redirect)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        agent = await start_agent(server_url=f"http://127.0.0.1:{port}", reconnect_attempts=1, reconnect_delay=0.01)
        assert await agent.end() == 69
    finally:
        await runner.cleanup()
    assert "redirects to" in agent.log
    assert not peer.seen


async def test_answer_that_is_no_websocket_is_a_failure(start_agent: StartAgent) -> None:
    async def busy(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(busy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    agent = await start_agent(server_url=f"http://127.0.0.1:{port}", reconnect_attempts=1, reconnect_delay=0.01)
    assert await agent.end() == 69
    assert "the server answered 503" in agent.log
    server.close()
    await server.wait_closed()
