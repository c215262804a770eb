"""`make run`: from nothing to a trusted agent that is online, and back to nothing, with real processes."""

import json
import os
import signal
import socket
import sqlite3
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.local_run import Run, StartRun, is_alive
from tests.support.postgres import free_port

_SECOND_START_CPU_S = 20.0
"""Processor time, whatever else the machine does; three are enough."""


def _cpu_s(pid: int) -> float:
    """What the process has taken so far, with all that it started and that has ended."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def _password(run: Run) -> str:
    return run.printed("Password").split()[1]


def _devices(port: int, password: str) -> list[dict[str, Any]]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"sec-fetch-site": "same-origin"}) as client:
        answer = client.post("/api/v1/auth/login", json={"email": "admin@example.test", "password": password})
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]  # Secure, so no client but a browser returns it here
        answer = client.get("/api/v1/devices", headers={"cookie": cookie})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def test_the_first_start_ends_with_this_machine_trusted_and_online_and_the_next_is_quick(start_run: StartRun) -> None:
    port = free_port()
    run = start_run(port)
    run.printed("Ctrl-C ends it")
    password = _password(run)
    assert httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    (device,) = _devices(port, password)
    assert (device["status"], device["trust"]) == ("online", "trusted")
    assert f"http://127.0.0.1:{port}" in run.printed("DeployX is running at")
    children = run.children()
    assert len(children) == 2
    for pid in children:
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert b"dxe_" not in shown, "the enrolment token is gone once it was used"
    for name in ("server.log", "agent.log"):
        assert password not in (run.data_dir / name).read_text()
        assert str(run.data_dir / name) in run.output

    assert run.end(signal.SIGINT) == 0
    assert run.lines[-1] == "Stopped: the server and the agent have ended."
    assert "Traceback" not in run.output
    assert not any(map(is_alive, children))
    left = sqlite3.connect(run.data_dir / "deployx.db").execute("SELECT status, status_detail FROM devices").fetchall()
    assert left == [("offline", "the agent stopped: SIGTERM")], "the agent left first, and said why"

    again = start_run(port)
    again.printed("Ctrl-C ends it")
    assert sum(map(_cpu_s, (again.process.pid, *again.children()))) < _SECOND_START_CPU_S
    done_once = [("server.log", "database.migrated"), ("server.log", "user.created"), ("agent.log", "token=presented")]
    for name, words in done_once:
        assert (run.data_dir / name).read_text().count(words) == 1
    assert "shown this once" not in again.output
    assert "reset-password admin@example.test" in again.output
    (device,) = _devices(port, password)
    assert (device["status"], device["trust"]) == ("online", "trusted")
    assert again.end(signal.SIGTERM) == 0


def test_a_port_in_use_is_one_line(start_run: StartRun) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = start_run(port)
        assert run.wait() == 1
    assert run.lines == [
        "Starting the server …",
        f"127.0.0.1 port {port} is in use by another program: stop it, or set DEPLOYX_PORT.",
    ]


def test_a_second_one_on_the_same_data_is_one_line_and_leaves_the_first_alone(start_run: StartRun) -> None:
    first = start_run(free_port())
    first.printed("Starting the server")
    second = start_run(free_port())
    assert second.wait() == 1
    assert len(second.lines) == 1
    assert "is running on" in second.output
    first.printed("Ctrl-C ends it")
    assert first.end(signal.SIGINT) == 0


@pytest.mark.parametrize(("victim", "number"), [("server", signal.SIGKILL), ("agent", signal.SIGTERM)])
def test_when_one_ends_by_itself_the_other_is_ended_and_the_end_of_its_log_is_shown(
    start_run: StartRun, victim: str, number: int
) -> None:
    run = start_run(free_port())
    run.printed("Ctrl-C ends it")
    children = run.children()
    named = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    os.kill(next(pid for pid, words in named.items() if f"deployx-{victim}" in words), number)
    assert run.wait() == 1
    how = "by signal 9" if number == signal.SIGKILL else "with exit code 0"
    assert f"The {victim} ended by itself, {how}. The end of its log:" in run.lines
    assert any(line.startswith("    ") and "[INFO]" in line for line in run.lines)
    assert "Traceback" not in run.output
    assert not any(map(is_alive, children))


def test_nothing_stays_behind_when_the_program_itself_is_killed(start_run: StartRun) -> None:
    run = start_run(free_port())
    run.printed("Ctrl-C ends it")
    children = run.children()
    run.end(signal.SIGKILL)
    run.until(lambda: not any(map(is_alive, children)), "end of the children")


def test_stopping_it_while_it_starts_leaves_nothing_but_the_password(start_run: StartRun) -> None:
    run = start_run(free_port())
    log = run.data_dir / "server.log"
    run.until(lambda: log.exists() and "user.created" in log.read_text(), "administrator")
    children = run.children()
    assert run.end(signal.SIGINT) == 0
    assert "Traceback" not in run.output
    assert run.output.count("shown this once") == 1
    assert run.lines[-1] == "Stopped: the server and the agent have ended."
    assert not any(map(is_alive, children))


def test_an_agent_that_outlives_the_servers_data_is_enrolled_again(start_run: StartRun) -> None:
    port = free_port()
    run = start_run(port)
    run.printed("Ctrl-C ends it")
    assert run.end(signal.SIGINT) == 0
    key = json.loads((run.data_dir / "agent" / "agent_key.json").read_text())
    for file in run.data_dir.glob("deployx.db*"):
        file.unlink()
    again = start_run(port)
    again.printed("online and trusted")
    (device,) = _devices(port, _password(again))
    assert (device["status"], device["trust"]) == ("online", "trusted")
    assert json.loads((run.data_dir / "agent" / "agent_key.json").read_text()) == key
    assert again.end(signal.SIGINT) == 0


def test_the_logs_are_shown_when_asked_for(start_run: StartRun) -> None:
    run = start_run(free_port(), VERBOSE="1")
    run.printed("server │ server.started")
    run.printed("agent │ ")
    run.printed("Ctrl-C ends it")
    assert run.end(signal.SIGINT) == 0
    assert any("Agent stopped" in line for line in run.lines)
