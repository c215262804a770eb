"""Following a run when the server is slow, away or wrong, and asking somebody before many devices are reached."""

import base64
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

RUN = "01a210f7-e6d5-7090-9090-c0733c69a1ec"


def task(number: int, state: str = "succeeded", **values: Any) -> dict[str, Any]:
    """A task as the server shows it."""
    return {
        "id": f"task-{number}",
        "run_id": RUN,
        "device_id": number,
        "device_name": f"pc-{number}",
        "state": state,
        "reason": f"is {state}",
        "next_event": "",
        "exit_code": 0,
        "signal": None,
        "duration_s": 1.0,
        "output_bytes": 3,
        "output_lost_bytes": 0,
        "output_next_seq": 1,
        "output_complete": True,
        "output_deleted_at": None,
        "digest": "same",
        **values,
    }


class Fake:
    """A server with one run. `stories`: the tasks at each time that they are asked for; the last one stays."""

    def __init__(self, *stories: list[dict[str, Any]], total: int = 1) -> None:
        self.stories = list(stories)
        self.total = total
        self.busy: dict[str, int] = {}
        """How often a path is answered with 503 before it works."""
        self.output = [(1, b"hi\n")]
        self.rev = 1
        self.begins_at = 0
        """The `rev` at which its tasks run."""

    def _reach(self) -> dict[str, Any]:
        some = [{"id": 7, "device_name": "pc\x1b[2J", "why": "pending: accept it first"}]
        return {"total": self.total, "online": self.total, "excluded_total": 1, "excluded": some, "warnings": ["Mind."]}

    def __call__(self, request: Any) -> tuple[int, Any, dict[str, str]]:
        path = urlsplit(request.path).path.removeprefix("/api/v1")
        if self.busy.get(path, 0):
            self.busy[path] -= 1
            return 503, {"code": "unavailable", "detail": "The database does not answer."}, {}
        match request.method, path.split("/")[1:]:
            case "POST", ["runs", "preview"]:
                return 200, {**self._reach(), "offline": 0, "devices": []}, {}
            case ("POST", ["runs"]) | ("POST", ["runs", _, "retry"]):
                if not self.total:
                    return (
                        422,
                        {"code": "no_device_matched", "detail": "No device can be given work: pc-7: accept it."},
                        {},
                    )
                return 202, {"id": RUN, "rev": 1, **self._reach()}, {}
            case "GET", ["runs", _]:
                self.rev += 1
                counts = {"sent": self.total} if self.rev < self.begins_at else {"running": self.total}
                return 200, {"id": RUN, "rev": self.rev, "counts": counts}, {}
            case "GET", ["runs", _, "tasks"]:
                found_tasks = self.stories[0] if len(self.stories) == 1 else self.stories.pop(0)
                start = int(parse_qs(urlsplit(request.path).query).get("cursor", ["0"])[0])
                following = str(start + 500) if start + 500 < len(found_tasks) else None
                return 200, {"items": found_tasks[start : start + 500], "next_cursor": following}, {}
            case "GET", ["tasks", _, "output"]:
                at = int(parse_qs(urlsplit(request.path).query)["from_seq"][0])
                chunks = [
                    {"seq": seq, "stream": stream, "data": base64.b64encode(data).decode()}
                    for seq, (stream, data) in enumerate(self.output)
                    if seq >= at
                ]
                return (
                    200,
                    {"chunks": chunks[:1], "next_seq": at + len(chunks[:1]), "complete": True, "gone": False},
                    {},
                )
        return 404, {"code": "not_found", "detail": "There is nothing at this address."}, {}


def ask(deployx: Any, server: Any, *arguments: str) -> Any:
    return deployx(*arguments, DEPLOYX_URL=server.url, DEPLOYX_TOKEN="dxp_x")


def paths(server: Any, pattern: str) -> list[Any]:
    """The requests whose method and path look like this."""
    return [one for one in server.requests if re.search(pattern, f"{one.method} {one.path}")]


def test_whom_it_reaches_is_said(server: Any, deployx: Any) -> None:
    server.answer = Fake([task(1)])
    done = ask(deployx, server, "run", "uptime -p", "--on", "*", "--timeout", "5m", "--expires", "2d", "--user", "www")
    assert (done.returncode, done.stdout) == (0, "hi\n")
    assert done.stderr.splitlines() == [
        "Left out: pc\ufffd[2J: pending: accept it first",
        "Note: Mind.",
        "1 device: 1 online",
        "1 device: 1 succeeded",
    ]
    wanted = {"command": ["uptime", "-p"], "timeout_s": 300.0, "expires_s": 172_800.0, "user": "www"}
    assert server.requests[0].body == {**wanted, "targets": {"selector": "*"}}
    assert not paths(server, "preview")  # nobody is asked, so nothing depends on it


def test_nothing_is_read_before_something_can_have_printed(server: Any, deployx: Any) -> None:
    server.answer = fake = Fake([task(1)])
    fake.begins_at = 4
    done = ask(deployx, server, "run", "uptime", "--on", "*")
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    waits = [parse_qs(urlsplit(one.path).query)["after_rev"] for one in paths(server, f"GET /api/v1/runs/{RUN}\\?")]
    assert waits == [["1"], ["2"], ["3"]]
    assert len(paths(server, f"GET /api/v1/runs/{RUN}/tasks")) == 1


def test_a_start_without_an_answer_is_repeated_with_its_key(server: Any, deployx: Any) -> None:
    server.answer = fake = Fake([task(1)])
    fake.busy = {"/runs": 1}
    done = ask(deployx, server, "run", "uptime", "--on", "*", "--no-wait")
    assert (done.returncode, done.stdout) == (0, f"{RUN}\n"), done.stderr
    first, second = paths(server, "POST /api/v1/runs$")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] != ""


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: Any, deployx: Any) -> None:
    half = task(1, "running", output_complete=False, output_next_seq=1)
    server.answer = fake = Fake([half], [half], [task(1, output_next_seq=3)])
    fake.output = [(1, b"one\ntw"), (2, b"aside\n"), (1, b"o\nthree")]
    fake.busy = {"/tasks/task-1/output": 1}
    done = ask(deployx, server, "output", RUN, "--follow")
    assert (done.returncode, done.stdout) == (0, "one\ntwo\nthree\n"), done.stderr
    assert done.stderr.splitlines() == ["aside", "1 device: 1 succeeded"]


def test_equal_output_is_fetched_once_and_shown_for_each(server: Any, deployx: Any) -> None:
    server.answer = Fake([task(number) for number in range(700)], total=700)
    done = ask(deployx, server, "run", "uptime", "--on", "*")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"pc-{number}: hi" for number in range(700)]
    assert len(paths(server, "/output")) == 1


@pytest.mark.parametrize(("states", "code"), [("sss", 0), ("fff", 1), ("sfs", 3)])
def test_the_code_says_how_many_failed(server: Any, deployx: Any, states: str, code: int) -> None:
    names = {"s": "succeeded", "f": "timed_out"}
    server.answer = Fake([task(number, names[state]) for number, state in enumerate(states)], total=3)
    done = ask(deployx, server, "retry", RUN, "--state", "lost", "--state", "failed")
    assert done.returncode == code
    assert paths(server, "POST")[0].body == {"states": ["lost", "failed"]}
    assert done.stderr.count("is timed_out") == states.count("f")


def test_output_that_was_not_kept_is_said(server: Any, deployx: Any) -> None:
    server.answer = Fake([task(1, output_lost_bytes=1_234_567)])
    said = ask(deployx, server, "output", RUN).stderr
    assert "pc-1: 1,234,567 bytes of output were not kept: they are past the quota, or the device's disk" in said


def test_output_that_was_deleted_is_said(server: Any, deployx: Any) -> None:
    server.answer = Fake([task(1, output_deleted_at="2026-03-31T08:30:00.000Z"), task(2, digest="other")])
    done = ask(deployx, server, "output", RUN)
    assert (done.returncode, done.stdout) == (0, "pc-2: hi\n")
    told = "pc-1: the output, 3 bytes, was deleted at 2026-03-31T08:30:00.000Z, as the server's retention says.\n"
    assert done.stderr == told
    assert len(paths(server, "/output")) == 1


def test_a_server_that_knows_no_retention_is_understood(server: Any, deployx: Any) -> None:
    older = task(1)
    del older["output_deleted_at"]
    server.answer = Fake([older])
    done = ask(deployx, server, "output", RUN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")


def test_nobody_reached_is_a_failure(server: Any, deployx: Any) -> None:
    server.answer = Fake([task(1)], total=0)
    done = ask(deployx, server, "run", "uptime", "--on", "*")
    assert (done.returncode, done.stdout) == (1, "")
    assert "accept it" in done.stderr


@pytest.mark.parametrize(
    ("total", "options", "answer", "asked", "begun"),
    [
        (21, [], "n", True, False),
        (21, [], "y", True, True),
        (21, ["--yes"], "", False, True),
        (20, [], "", False, True),
    ],
)
def test_somebody_at_a_terminal_is_asked_above_twenty(
    server: Any, deployx: Any, total: int, options: list[str], answer: str, asked: bool, begun: bool
) -> None:
    server.answer = Fake([task(1)], total=total)
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    command = [str(Path(sys.executable).with_name("deployx")), "run", "uptime", "--on", "*", "--no-wait", *options]
    env = {"PATH": os.environ["PATH"], "DEPLOYX_URL": server.url, "DEPLOYX_TOKEN": "dxp_x"}
    done = subprocess.run(command, stdin=theirs, capture_output=True, env=env, timeout=60, check=False, text=True)
    os.close(theirs)
    os.close(ours)
    assert (f"Run this on {total} devices?" in done.stderr) is asked
    assert (done.returncode, done.stdout) == ((0, f"{RUN}\n") if begun else (1, ""))
    assert bool(paths(server, "POST /api/v1/runs$")) is begun


def test_json_of_a_run(server: Any, deployx: Any) -> None:
    server.answer = Fake([task(1)])
    done = ask(deployx, server, "run", "uptime", "--on", "*", "--json")
    assert json.loads(done.stdout) == {
        "run": {"id": RUN, "rev": 3, "counts": {"running": 1}},
        "tasks": [{**task(1), "stdout": "hi\n", "stderr": ""}],
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_script_that_completes(deployx: Any, shell: str) -> None:
    script = deployx(_DEPLOYX_COMPLETE=f"source_{shell}")
    assert (script.returncode, f"_DEPLOYX_COMPLETE=complete_{shell}" in script.stdout) == (0, True), script.stderr
    words = {"COMP_WORDS": "deployx run --max", "COMP_CWORD": "2", "_TYPER_COMPLETE_ARGS": "deployx run --max"}
    found = deployx(_DEPLOYX_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_FISH_ACTION="get-args", **words)
    assert "--max-parallel" in found.stdout, found.stderr


@pytest.mark.parametrize("command", ["run", "runs", "output", "cancel", "retry", "groups", "devices", "login"])
def test_each_page_of_help_has_examples(deployx: Any, command: str) -> None:
    page = deployx(command, "--help").stdout
    assert "Examples" in page
    assert f"deployx {command}" in page
