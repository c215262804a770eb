"""The set-up does what needs nothing of each other at the same time, and says what went wrong in one sentence."""

import threading
from pathlib import Path

import pytest

from bootstrap import apart, dashboard, packages, steps, system, uv, venv
from bootstrap.console import SetupError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set-up that does nothing yet."""
    monkeypatch.setattr(venv, "scratch", lambda: tmp_path)
    monkeypatch.setattr(venv, "ensure", lambda: None)
    for module in (packages, dashboard, apart, system):
        monkeypatch.setattr(module, "ensure", lambda *_, **__: None)
    return tmp_path


@pytest.mark.usefixtures("checkout")
def test_the_parts_are_done_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    together = threading.Barrier(3, timeout=30)
    for module in (packages, dashboard, system):
        monkeypatch.setattr(module, "ensure", lambda *_, **__: together.wait())
    assert steps.set_up(["--tests", "--system"]) == 0
    assert capsys.readouterr().out.startswith("Set up in ")


@pytest.mark.usefixtures("checkout")
def test_what_fails_in_one_part_is_said_once_the_others_are_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def fail(**_: object) -> None:
        raise SetupError("Could not fetch it: there is no network.", "many\nlines")

    monkeypatch.setattr(dashboard, "ensure", fail)
    monkeypatch.setattr(apart, "ensure", lambda *_: done.append("semgrep"))
    assert steps.set_up(["--tests"]) == 1
    assert capsys.readouterr().err == "many\nlines\nCould not fetch it: there is no network.\n"
    assert done == ["semgrep"]


def test_uv_is_fetched_once_by_whoever_needs_it_first(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, fetched = checkout / "uv", []

    def run(*_: object, **__: object) -> str:
        fetched.append(1)
        program.write_text("")
        return ""

    monkeypatch.setattr(uv, "PROGRAM", program)
    monkeypatch.setattr(uv, "run", run)
    for _ in range(2):
        uv.ensure()
    assert len(fetched) == 1
    uv.ensure(locked=True)
    assert len(fetched) == 2
