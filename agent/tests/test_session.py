"""What one session does in which order, down to the disk: the wire is a recorder, the state folder is real."""

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from deployx_agent.connection.machine import Event
from deployx_agent.connection.progress import Progress
from deployx_agent.connection.registration import Registrar
from deployx_agent.connection.session import Pace, Session, Stop
from deployx_agent.connection.transport import Answer, Deliver, Received, Sink
from deployx_agent.enrollment import Enrollment
from deployx_agent.identity import Identity
from deployx_agent.logs import Log
from deployx_agent.state.status import StatusFile
from deployx_agent.tasks.engine import Engine
from deployx_protocol import events
from deployx_protocol.messages import RegistrationSuccess
from deployx_protocol.states import Trust
from deployx_protocol.tokens import new_enrollment_token

ORIGIN = "https://a.example"


class Recorder:
    """A transport to a server that registers everyone as generation 1, until it has been confirmed or left."""

    nonce = "sid"
    local_address = "192.0.2.7"

    def __init__(self, done: list[str]) -> None:
        self.done = done
        self.deliver: Deliver

    async def open(self, timeout_s: float) -> None:
        raise AssertionError("it is open")

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        self.done.append(f"send {event}")
        if event == events.AGENT_REGISTER:
            success = RegistrationSuccess(
                agent_id="a", trust=Trust.TRUSTED, generation=1, heartbeat_interval_s=30, server_time="now"
            )
            self.deliver(Received(events.REGISTRATION_SUCCESS, success.to_json()))

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        raise AssertionError("nothing is asked")

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        raise AssertionError("nothing is fetched")

    async def flush(self, timeout_s: float) -> bool:
        return True

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been done so far: `fsync file`, `rename <name>`, `fsync folder`, `send <event>`."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def spy_fsync(descriptor: int) -> None:
        done.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def spy_replace(self: Path, target: Path) -> Path:
        done.append(f"rename {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(Path, "replace", spy_replace)
    return done


async def run_once(state_dir: Path, done: list[str], token: str | None) -> tuple[Registrar, list[int]]:
    """A session that registers and is stopped; how often its registration counted."""
    log = Log(logging.Logger("quiet", 99))
    identity = Identity(state_dir, Path("/nowhere"), None, log)
    engine = Engine(state_dir / "tasks", 1, log)
    enrollment = Enrollment(state_dir, ORIGIN, token, log)
    registrar = Registrar(identity, enrollment, engine.store, ORIGIN, None, {}, Path("/nowhere"), watch_only=False)
    progress = Progress(StatusFile(state_dir), log)
    progress.advance(Event.LAUNCHED)
    progress.advance(Event.CONNECTION_OPENED)
    counted: list[int] = []
    session = Session(registrar, engine, progress, Pace(5, None, None), log, lambda: counted.append(1))
    transport = Recorder(done)
    transport.deliver = session.deliver
    session.deliver(Received("of_tomorrow", None))
    done.clear()
    original = transport.send

    async def send_and_stop(event: str, payload: dict[str, Any]) -> None:
        await original(event, payload)
        if event == events.AGENT_REGISTER:
            session.deliver(Stop("SIGTERM"))

    transport.send = send_and_stop  # type: ignore[method-assign]
    ending = await session.run(transport)
    assert ending.event is Event.STOP_REQUESTED
    return registrar, counted


async def test_fault_13b_what_is_confirmed_is_on_disk_before(state_dir: Path, done: list[str]) -> None:
    registrar, counted = await run_once(state_dir, done, new_enrollment_token(ORIGIN))
    durable = [step for step in done if step != "rename status.json"]
    assert durable == [
        "send agent_register",
        *("fsync file", "rename machine_id.json", "fsync folder"),
        *("fsync file", "rename enrollment.json", "fsync folder"),
        "send registration_ack",
        "send agent_leaving",
    ]
    assert (registrar.identity.machine.generation, counted) == (1, [1])


async def test_fault_13b_what_cannot_be_stored_is_not_confirmed(
    state_dir: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = os.fsync

    def fails_later(descriptor: int) -> None:
        if "send agent_register" in done:
            raise OSError(28, "No space left on device")
        works(descriptor)

    monkeypatch.setattr(os, "fsync", fails_later)
    registrar, counted = await run_once(state_dir, done, None)
    assert "send registration_ack" not in done
    assert "send agent_leaving" in done, "the connection goes on"
    assert (registrar.identity.machine.generation, counted) == (0, [1])
    assert Identity(state_dir, Path("/nowhere"), None, Log(logging.Logger("quiet", 99))).machine.generation == 0
