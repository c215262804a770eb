"""What is typed is what a command gets, and pydantic is loaded by a command only when it has something to check."""

from typing import Any

import pytest


def test_a_run_loads_no_pydantic_and_sends_what_was_typed(server: Any, deployx: Any) -> None:
    env = {"DEPLOYX_URL": server.url, "DEPLOYX_TOKEN": "dxp_test", "PYTHONPROFILEIMPORTTIME": "1"}
    typed = (
        "run",
        "echo 'a b'",
        "--on",
        "role=web",
        "--env",
        "A=1",
        "--env",
        "B=x y",
        "--timeout",
        "5s",
        "--cwd",
        "/srv",
    )
    done = deployx(*typed, forked=False, **env)
    assert "deployx_cli.main" in done.stderr
    assert "pydantic" not in done.stderr
    [asked] = server.requests
    assert (asked.body["command"], asked.body["env"]) == (["echo", "a b"], {"A": "1", "B": "x y"})
    assert (asked.body["timeout_s"], asked.body["targets"]) == (5, {"selector": "role=web"})


def test_defaults_are_not_checked(server: Any, deployx: Any) -> None:
    env = {"DEPLOYX_URL": server.url, "DEPLOYX_TOKEN": "dxp_test", "PYTHONPROFILEIMPORTTIME": "1"}
    done = deployx("runs", forked=False, **env)
    assert "deployx_cli.main" in done.stderr
    assert "pydantic" not in done.stderr
    assert "limit=20" in server.requests[0].path


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["runs", "--limit", "x"], "'--limit'"),
        (["runs", "--limit", "501"], "'--limit'"),
        (["runs", "--state", "odd"], "'odd' is not one of 'active', 'finished', 'failed'"),
        (["run", "uptime", "--on", "*", "--max-parallel", "0"], "'--max-parallel'"),
        (["run", "uptime", "--on"], "'--on' requires an argument"),
    ],
)
def test_what_no_parameter_takes_is_refused_before_anything_is_asked(
    server: Any, deployx: Any, typed: list[str], said: str
) -> None:
    done = deployx(*typed, DEPLOYX_URL=server.url, DEPLOYX_TOKEN="dxp_test")
    assert done.returncode == 2
    assert said in done.stderr
    assert not server.requests
