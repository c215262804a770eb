"""Runs from the shell, with a real server and real agents: what is printed where, and with which code it ends."""

import contextlib
import json
import os
import pty
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import prepared
from tests.support.shell import DEADLINE_S, EMAIL, PASSWORD, RealServer, signed_in, until


class Fleet:
    """Two agents, `one` and `two`, of a server with one operator."""

    def __init__(self, server: RealServer, folder: Path, api: httpx2.Client) -> None:
        self.server = server
        self.api = api
        self._folder = folder
        self._agents: dict[str, prepared.Started] = {}

    def start(self, name: str, **settings: str) -> None:
        """Start an agent, and give its device this name."""
        token = self.api.post("/enrollment-tokens", json={"name": name}).json()["token"]
        state = self._folder / name
        state.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(state), "XDG_CONFIG_HOME": str(state)}
        env |= {"DEPLOYX_SERVER_URL": self.server.url, "DEPLOYX_STATE_DIR": str(state), "DEPLOYX_AGENT_ID": name}
        env |= {"DEPLOYX_MACHINE_ID": f"machine-{name}", "DEPLOYX_ENROLLMENT_TOKEN": token, **settings}
        with Path(os.devnull).open("rb") as nothing, (self._folder / f"{name}.log").open("ab") as log:
            self._agents[name] = prepared.start("agent", ["run"], env, (nothing, log, log))
        device = until(lambda: self.device(name, "online"), f"{name} to come")
        assert self.api.patch(f"/devices/{device['id']}", json={"device_name": name}).status_code == 200

    def device(self, name: str, status: str) -> Any:
        """The device of an agent, if its status is this."""
        items = self.api.get("/devices", params={"selector": f"agent_id={name},status={status}"}).json()["items"]
        return items[0] if items else None

    def stop(self, name: str) -> None:
        """End an agent, and wait until the server knows."""
        agent = self._agents.pop(name)
        agent.terminate()
        agent.wait(DEADLINE_S)
        until(lambda: self.device(name, "offline"), f"{name} to leave")

    def close(self) -> None:
        """End all of them."""
        for agent in self._agents.values():
            agent.terminate()
        for agent in self._agents.values():
            agent.wait(DEADLINE_S)

    def running(self) -> bool:
        """Whether the newest run has a task that runs."""
        items = self.api.get("/runs", params={"limit": "1"}).json()["items"]
        return bool(items and items[0]["counts"].get("running"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server and two agents, of which `one` has tags from its settings."""
    with contextlib.ExitStack() as stack:
        server = RealServer(tmp_path_factory.mktemp("server"))
        server.command("create-user", EMAIL, stdin=f"{PASSWORD}\n")
        server.command("create-user", "vera@example.test", "--role", "viewer", stdin=f"{PASSWORD}\n")
        stack.callback(server.stop)
        server.start()
        api = stack.enter_context(server.api())
        made = Fleet(server, tmp_path_factory.mktemp("agents"), api)
        stack.callback(made.close)
        made.start("one", DEPLOYX_TAGS="role=web")
        made.start("two")
        yield made


@pytest.fixture
def ada(fleet: Fleet, deployx: Any) -> Any:
    """`deployx` for the operator."""
    signed_in(deployx, fleet.server)
    return deployx


def test_a_command_on_several_devices(ada: Any) -> None:
    done = ada("run", "sh -c 'echo hello; echo oops >&2'", "--on", "*")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["one: hello", "two: hello"]
    said = done.stderr.splitlines()
    assert said[0] == "2 devices: 2 online"
    assert sorted(said[1:-1]) == ["one: oops", "two: oops"]
    assert said[-1] == "2 devices: 2 succeeded"


def test_a_machine_that_is_only_watched_runs_nothing_and_says_so(fleet: Fleet, ada: Any) -> None:
    fleet.start("seen", DEPLOYX_WATCH_ONLY="1")
    seen = fleet.device("seen", "online")
    assert seen["facts"]["tasks"] == "refused: it only watches"
    done = ada("run", "true", "--on", "name=seen")
    fleet.stop("seen")
    assert fleet.api.delete(f"/devices/{seen['id']}").status_code == 204
    assert done.returncode == 1
    assert "seen: its agent only watches: its owner has to start it without --watch-only" in done.stderr


def test_one_device_has_no_prefix(ada: Any) -> None:
    done = ada("run", "--on", "role=web", "--env", "A=b c", "--cwd", "/", "--", "sh", "-c", "pwd; echo $A")
    assert (done.returncode, done.stdout) == (0, "/\nb c\n"), done.stderr
    shell = ada("run", "--shell", "echo a | tr a b", "--on", "name=one")
    assert (shell.returncode, shell.stdout) == (0, "b\n"), shell.stderr


def test_a_script_from_stdin_with_arguments(ada: Any) -> None:
    arguments = ("--script", "-", "--interpreter", "sh -e", "--on", "name=two", "--", "x y")
    done = ada("run", *arguments, stdin='echo "$1"\nfalse\necho never\n')
    assert (done.returncode, done.stdout) == (1, "x y\n"), done.stderr
    assert "two: exit" in done.stderr


def test_the_code_says_how_many_failed(ada: Any, tmp_path: Path) -> None:
    once = ("run", f"mkdir {tmp_path}/once", "--on", "*")  # both agents are on this machine: one of them is the first
    some = ada(*once)
    assert (some.returncode, some.stdout) == (3, ""), some.stderr
    assert "2 devices: 1 succeeded, 1 failed" in some.stderr
    none = ada(*once)
    assert none.returncode == 1
    assert "2 devices: 2 failed" in none.stderr


def test_json_holds_everything(ada: Any) -> None:
    done = ada("run", "--shell", "printf 'a\\033[2Jb\\302\\233\\377'; echo c >&2; exit 5", "--on", "name=one", "--json")
    assert done.returncode == 1, done.stderr
    assert "\x1b" not in done.stdout
    assert "\x9b" not in done.stdout
    found = json.loads(done.stdout)
    [task] = found["tasks"]
    assert found["run"]["counts"] == {"failed": 1}
    assert (task["device_name"], task["exit_code"]) == ("one", 5)
    assert (task["stdout"], task["stderr"]) == ("a\x1b[2Jb\x9b\ufffd", "c\n")


def test_raw_is_byte_for_byte(ada: Any, fleet: Fleet, tmp_path: Path) -> None:
    script = "import os\nos.write(1, bytes(range(256)) * 1000)\nos.write(2, b'aside')\n"
    arguments = ("run", "--script", "-", "--interpreter", sys.executable, "--on", "name=one", "--raw")
    done = ada.binary(*arguments, stdin=script.encode())
    assert (done.returncode, done.stdout) == (0, bytes(range(256)) * 1000), done.stderr
    assert b"aside" in done.stderr
    again = ada.binary("output", "last", "--stream", "stderr", "--raw", "--device", "one")
    assert again.stdout == b"aside"
    several = ada("run", "true", "--on", "*", "--raw")
    assert (several.returncode, "one device" in several.stderr) == (2, True)


def test_threat_08_a_device_does_not_reach_the_terminal(ada: Any) -> None:
    evil = r"printf '\033]0;title\007\033[2J\033[8mhidden\033[0m\033[31mred\033[0m\302\2332J\r\nplain\342\200\256\n'"
    piped = ada("run", "--shell", evil, "--on", "name=one")
    assert (piped.returncode, piped.stdout) == (0, "hiddenred\nplain\ufffd\n"), piped.stderr
    shown = ada.on_terminal("output", "last")
    assert "\x1b[31mred" in shown
    for sequence in ("\x1b]0;", "\x1b[2J", "\x1b[8m", "\x9b", "\u202e", "\x07"):
        assert sequence not in shown
    assert "\x1b[31m" not in ada.on_terminal("output", "last", NO_COLOR="1")


def test_a_run_for_later_is_read_cancelled_and_repeated(ada: Any, fleet: Fleet) -> None:
    fleet.stop("two")
    begun = ada("run", "echo back", "--on", "*", "--no-wait", "--expires", "1h")
    assert begun.returncode == 0, begun.stderr
    assert "2 devices: 1 online, 1 will get it when they return (within 1 h)" in begun.stderr
    run = begun.stdout.strip()
    until(lambda: fleet.api.get(f"/runs/{run}").json()["counts"].get("succeeded") == 1, "the task of one")
    rows = [line.split("\t") for line in ada("runs", run).stdout.splitlines()]
    assert [row[:2] for row in rows] == [["DEVICE", "STATE"], ["one", "succeeded"], ["two", "queued"]]
    assert "offline" in rows[2][4]
    so_far = ada("output", run)
    assert (so_far.returncode, so_far.stdout) == (0, "one: back\n")
    assert f"deployx output {run} --follow" in so_far.stderr
    assert ada("output", run, "--device", "one").stdout == "back\n"
    listed = json.loads(ada("runs", "--json", "--limit", "1").stdout)
    assert [one["id"] for one in listed] == [run]
    assert run in ada("runs", "--state", "active").stdout
    cancelled = ada("cancel", run)
    assert (cancelled.returncode, "1 cancelled" in cancelled.stderr) == (0, True), cancelled.stderr
    followed = ada("output", run, "--follow")
    assert (followed.returncode, followed.stdout) == (3, "one: back\n")
    fleet.start("two")
    repeated = ada("retry", run)
    assert (repeated.returncode, repeated.stdout) == (0, "back\n"), repeated.stderr


def test_ctrl_c_leaves_the_run_going(ada: Any, fleet: Fleet) -> None:
    process = ada.start("run", "--shell", "echo begun; sleep 60", "--on", "name=one")
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
    assert ready
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert b"deployx cancel " in said
    assert b"Traceback" not in said
    assert fleet.running()
    run = said.split(b"deployx cancel ")[1].decode().strip()
    assert ada("cancel", run, "--device", "one").returncode == 0
    ended = ada("output", run, "--follow")
    assert (ended.returncode, ended.stdout) == (1, "begun\n")
    assert "1 cancelled" in ended.stderr


def test_groups(ada: Any) -> None:
    saved = ada("groups", "--save", "web", "--on", "role = web")
    assert (saved.returncode, "web has 1 devices now" in saved.stderr) == (0, True), saved.stderr
    assert ada("groups").stdout.splitlines()[1].split("\t") == ["web", "1", "role=web"]
    assert ada("run", "echo hi", "--on", "group=web").stdout == "hi\n"
    assert [line.split("\t")[1] for line in ada("devices", "--on", "group!=web").stdout.splitlines()] == ["NAME", "two"]
    assert ada("groups", "--delete", "web").returncode == 0
    assert ada("groups", "--delete", "web").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("run", "uptime"), 2, "--on"),
        (("run", "--on", "*"), 2, "nothing to run"),
        (("run", "a | b", "--on", "*"), 2, "--shell"),
        (("run", "a 'b", "--on", "*"), 2, "not closed"),
        (("run", "a", "--on", "plattform=linux"), 2, "did you mean platform"),
        (("run", "a", "--on", "a="), 2, "character 3"),
        (("run", "a", "--on", "name=nobody"), 1, "No device"),
        (("run", "a", "--on", "*", "--timeout", "soon"), 2, "15m"),
        (("run", "a", "--on", "*", "--timeout", "8d"), 2, "7 days"),
        (("run", "a", "--on", "*", "--env", "A"), 2, "NAME=VALUE"),
        (("run", "a", "--on", "*", "--cwd", "relative"), 2, "absolute"),
        (("run", "--script", "/nowhere", "--on", "*"), 1, "/nowhere"),
        (("run", "--script", "/etc/hostname", "--shell", "--on", "*"), 2, "exclude"),
        (("run", "a", "--interpreter", "sh", "--on", "*"), 2, "--script"),
        (("run", "a", "--on", "*", "--raw", "--json"), 2, "exclude"),
        (("output", "../devices"), 2, "not the id of a run"),
        (("output", "0" * 36), 1, "no such run"),
        (("groups", "--save", "x"), 2, "--on"),
    ],
)
def test_what_cannot_be_asked(ada: Any, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = ada(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_viewer_may_not_run(fleet: Fleet, deployx: Any) -> None:
    login = ("login", "--url", fleet.server.url, "--email", "vera@example.test")
    assert deployx(*login, stdin=f"{PASSWORD}\n").returncode == 0
    done = deployx("run", "uptime", "--on", "*")
    assert (done.returncode, done.stdout) == (77, "")
    assert deployx("runs").stdout.splitlines() == ["RUN\tSTARTED\tDEVICES\tSTATES\tBY\tWHAT"]


def test_a_terminal_is_asked_and_shown_progress(ada: Any, fleet: Fleet) -> None:
    ours, theirs = pty.openpty()
    process = ada.start("run", "echo hi", "--on", "name=one", stderr=theirs)
    os.close(theirs)
    printed = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65_536):
            printed += chunk
    os.close(ours)
    assert process.communicate(timeout=DEADLINE_S)[0] == b"hi\n"
    assert b"1 of 1 done" in printed
    assert printed.rstrip().endswith(b"1 device: 1 succeeded")


def test_a_device_that_was_not_in_the_run(ada: Any) -> None:
    ada("run", "echo hi", "--on", "name=one")
    done = ada("output", "last", "--device", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody" in done.stderr
