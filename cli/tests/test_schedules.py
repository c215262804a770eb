"""`deployx schedules` and `deployx software` against the server as it is, and how times and windows are written."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_cli import timing
from deployx_cli.errors import WrongUsage
from tests.support.shell import PASSWORD, RealServer, signed_in


@pytest.fixture
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that runs."""
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.command("create-user", "ada@example.test", stdin=f"{PASSWORD}\n")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


def test_from_creating_to_deleting(real: RealServer, deployx: Any, tmp_path: Path) -> None:
    signed_in(deployx, real)

    def said(*words: str, code: int = 0) -> str:
        done = deployx("schedules", *words, TZ="Europe/Berlin")
        assert done.returncode == code, done.stderr
        text: str = done.stdout if not code else done.stderr
        return text

    made = said("create", "nightly", "--cron", "30 2 * * *", "--on", "*", "--", "echo", "hi")
    assert made.splitlines()[0] == "nightly: echo hi"
    assert "At 02:30 every day, Europe/Berlin; next at" in made
    [one] = json.loads(said("list", "--json"))
    assert (one["cron"], one["timezone"], one["overlap"], one["grace_s"]) == (
        "30 2 * * *",
        "Europe/Berlin",
        "skip",
        3600,
    )
    assert said("list").splitlines()[1].startswith("nightly\t")
    times = said("next", "nightly", "-n", "3").splitlines()
    assert len(times) == 3
    assert times == said("next", "--cron", "30 2 * * *", "-n", "3").splitlines()
    assert {time[10:16] for time in times} <= {"T02:30", "T03:00"}
    assert said("pause", one["id"]).endswith("paused\n")
    assert "next at" in said("resume", "nightly")
    assert "No device matches" in said("run-now", "nightly", code=2)
    shown = json.loads(said("show", "nightly", "--json"))
    assert [firing["state"] for firing in shown["firings"]] == ["refused"]
    assert "refused by hand" in said("show", "nightly")
    assert "never comes due" in said("create", "x", "--cron", "0 0 30 2 *", "--on", "*", "true", code=2)
    assert "no schedule other" in said("show", "other", code=1)
    assert "say --yes" in said("delete", "nightly", code=1)
    said("delete", "nightly", "--yes")
    assert json.loads(said("list", "--json")) == []
    manifest = tmp_path / "deployx.yaml"
    manifest.write_text("name: curl\nversion: 1.0\nplatforms: linux\npackage: {name: curl}\n")
    assert deployx("release", "create", str(manifest)).returncode == 0
    weekly = ("deploy", "weekly", "curl@1.0", "--cron", "0 2 * * tue", "--on", "*", "--waves", "1,100%")
    made = json.loads(said(*weekly, "--deploy-window", "22:00-04:00", "--json"))
    assert (made["what"], made["action"]["kind"]) == ("curl@1.0", "deployment")
    assert made["action"]["request"]["strategy"]["waves"] == ["1", "100%"]
    assert made["action"]["request"]["strategy"]["window"]["begin"] == "22:00"
    assert "There is no release curl@2.0" in said(*[word.replace("1.0", "2.0") for word in weekly], code=1)
    none = deployx("software", "openssl<3.0.13")
    assert (none.returncode, none.stdout) == (1, "DEVICE\tHAS\tKNOWN\n")
    wrong = deployx("software", "openssl<")
    assert (wrong.returncode, "no comparison" in wrong.stderr) == (2, True)
    assert deployx("software").returncode == 2
    assert deployx("software", "--versions").stdout == "PACKAGE\tVERSION\tARCH\tSOURCE\tDEVICES\n"


def test_when() -> None:
    assert timing.when("@daily", "", "UTC", []) == {"timezone": "UTC", "windows": [], "cron": "@daily"}
    assert timing.when("", "2026-12-24T02:30", "Europe/Berlin", [])["at"] == "2026-12-24T02:30:00+01:00"
    assert timing.when("", "2026-12-24T02:30Z", "Europe/Berlin", [])["at"] == "2026-12-24T02:30:00+00:00"
    for cron, at, zone in (("", "", "UTC"), ("x", "y", "UTC"), ("", "tomorrow", "UTC"), ("", "2026-12-24", "No/Where")):
        with pytest.raises(WrongUsage):
            timing.when(cron, at, zone, [])


def test_windows() -> None:
    assert timing.window("22:00-06:00") == {"start": "22:00", "end": "06:00"}
    assert timing.window("Fri-Mon,wed 00:00-24:00")["days"] == ["mon", "wed", "fri", "sat", "sun"]
    for wrong in ("", "22-06", "moon 22:00-06:00", "mon- 22:00-06:00", "22:00"):
        with pytest.raises(WrongUsage):
            timing.window(wrong)
