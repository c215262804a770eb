"""What the Tab key offers: keys, values and groups of selectors, runs; through the shells' own protocols."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployx_cli.completing import candidates, prepare_bash

WORDS = {
    "name": ["db-1", "web-1", "web-2"],
    "status": ["online", "offline"],
    "group": ['"my pets"', "berlin"],
    "role": ["web", "db", "worker"],
    '"rack no"': ['"a 1"'],
    "laptop": [],
}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("", ["name=", "status=", "group=", "role=", '"rack no"=', "laptop"]),
        ("st", ["status=online", "status=offline"]),
        ("role=w", ["role=web", "role=worker"]),
        ("role!=w", ["role!=web", "role!=worker"]),
        ("role == d", ["role == db"]),
        ("role in (we", ["role in (web"]),
        ("role in (web,", ["role in (web,web", "role in (web,db", "role in (web,worker"]),
        ("role in (web, d", ["role in (web, db"]),
        ("role notin (db", ["role notin (db"]),
        ("role not in (db", ["role not in (db"]),
        ("role in (web),sta", ["role in (web),status=online", "role in (web),status=offline"]),
        ("role=web, la", ["role=web, laptop"]),
        ("!la", ["!laptop"]),
        ("!r", ["!role"]),
        ("group=", ['group="my pets"', "group=berlin"]),
        ('group="my', ['group="my pets"']),
        ('"rack', ['"rack no"="a 1"']),
        ('"rack no"=', ['"rack no"="a 1"']),
        ('name="a,b",la', ['name="a,b",laptop']),
        ("laptop", ["laptop"]),
        ("nothing", []),
        ("nothing=", []),
        ("role=web)", []),
    ],
)
def test_a_selector_goes_on(text: str, offered: list[str]) -> None:
    assert candidates(text, WORDS) == offered


@pytest.mark.parametrize(
    ("words", "at", "left", "typed"),
    [
        (["deployx", "run", "--on", "role", "=", "we"], 5, ["deployx", "run", "--on", "we"], "role="),
        (["deployx", "run", "--on", "role", "="], 4, ["deployx", "run", "--on", ""], "role="),
        (["deployx", "run", "--on", "a!", "=", "b,c", "=", "d"], 7, ["deployx", "run", "--on", "d"], "a!=b,c="),
        (["deployx", "run", "--on", "'role=we"], 3, None, ""),
        (["deployx", "run", "--on", "ro"], 3, None, ""),
        (["deployx", "run", "--on", "role", "upt"], 4, None, ""),
        (["deployx", "run", "up"], 2, None, ""),
    ],
)
def test_what_bash_cuts_is_put_together(words: list[str], at: int, left: list[str] | None, typed: str) -> None:
    env = {"_DEPLOYX_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(at)}
    before = dict(env)
    prepare_bash(env)
    if left is None:
        assert env == before
    else:
        assert (env["COMP_WORDS"].split("\n"), int(env["COMP_CWORD"])) == (left, len(left) - 1)
        assert env["_DEPLOYX_TYPED"] == typed


def answer(request: Any) -> tuple[int, Any, dict[str, str]]:
    """Words, groups and runs."""
    bodies = {
        "/api/v1/selectors/words": {"values": WORDS},
        "/api/v1/groups": {"items": [{"name": "berlin"}, {"name": "oslo"}]},
        "/api/v1/runs": {"items": [{"id": "01a2-b", "title": "uptime"}], "next_cursor": None},
    }
    return 200, bodies[request.path.partition("?")[0]], {}


def complete(deployx: Any, server: Any, shell: str, line: str, **more: str) -> Any:
    """What is printed for a line that ends where the Tab key was pressed."""
    env = {"DEPLOYX_URL": server.url, "DEPLOYX_TOKEN": "dxp_x", "_DEPLOYX_COMPLETE": f"complete_{shell}", **more}
    return deployx(_TYPER_COMPLETE_ARGS=line, **env)


def test_zsh_and_fish_are_offered_what_fits(deployx: Any, server: Any) -> None:
    server.answer = answer
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    shown = complete(deployx, server, "fish", "deployx devices --on 'role=w", **fish)
    assert shown.stdout.split() == ["role=web", "role=worker"]
    shown = complete(deployx, server, "fish", "deployx output ", **fish)
    assert shown.stdout.splitlines() == ["last\tthe newest", "01a2-b\tuptime"]
    shown = complete(deployx, server, "zsh", "deployx groups --delete ber")
    assert shown.stdout.strip() == """_arguments '*: :(("berlin"))'"""


def test_nothing_is_offered_and_nothing_said_where_no_server_answers(deployx: Any, server: Any) -> None:
    server.answer = lambda request: (500, {"code": "internal"}, {})
    shown = complete(deployx, server, "fish", "deployx run --on ro", _TYPER_COMPLETE_FISH_ACTION="get-args")
    assert (shown.stdout.strip(), shown.stderr) == ("", "")
    shown = deployx(_DEPLOYX_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="deployx run --on ro")  # not signed in
    assert (shown.stdout.strip(), shown.stderr) == ("_files", "")


_BASH = """
source <({program} --show-completion bash)
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_deployx_completion {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["run", "--on", "'role=w"], ["role=web", "role=worker"]),
        (["run", "--on", "role", "=", "w"], ["web", "worker"]),  # unquoted, bash cuts at =
        (["run", "uptime", "--on", "sta"], ["status=online", "status=offline"]),
    ],
)
def test_bash_is_offered_what_fits(
    deployx: Any, server: Any, tmp_path: Path, words: list[str], offered: list[str]
) -> None:
    server.answer = answer
    program = str(Path(sys.executable).with_name("deployx"))
    script = _BASH.format(program=program, words=" ".join(map(shlex.quote, ["deployx", *words])))
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DEPLOYX_URL": server.url, "DEPLOYX_TOKEN": "dxp_x"}
    shown = subprocess.run(
        ["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (shown.stdout.splitlines(), shown.stderr) == (offered, "")
