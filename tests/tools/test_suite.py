"""How `make test` counts: from each runner's own report, and never green by accident."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import suite
from checking import static, steps
from checking.steps import Result, Step
from checking.totals import Totals, from_junit, from_vitest

_TESTS = """
import pytest
def test_green(): pass
def test_red(): assert False
@pytest.mark.skip
def test_left_out(): pass
@pytest.mark.xfail
def test_known(): assert False
@pytest.fixture
def broken(): raise RuntimeError
def test_in_error(broken): pass
"""


def test_pytests_own_report_is_counted(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", "."]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert from_junit(report) == Totals(passed=1, failed=2, skipped=2)


def _vitest(folder: Path, **changes: Any) -> Path:
    said = {
        "numPassedTests": 7,
        "numFailedTests": 1,
        "numPendingTests": 2,
        "numTodoTests": 1,
        "success": False,
        "testResults": [
            {"status": "passed", "assertionResults": [{"status": "passed"}]},
            {"status": "failed", "assertionResults": [{"status": "failed"}]},
        ],
    }
    file = folder / "vitest.json"
    file.write_text(json.dumps(said | changes))
    return file


def test_vitests_own_report_is_counted(tmp_path: Path) -> None:
    assert from_vitest(_vitest(tmp_path)) == Totals(passed=7, failed=1, skipped=3)


def test_a_file_that_vitest_could_not_load_is_a_failure(tmp_path: Path) -> None:
    broken = [{"status": "failed", "assertionResults": []}]
    assert from_vitest(_vitest(tmp_path, numFailedTests=0, testResults=broken)).failed == 1


@pytest.mark.parametrize("content", [None, "", "{}", "<testsuites>", "[]", "null"])
def test_a_report_that_is_missing_or_broken_counts_nothing(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "report"
    if content is not None:
        file.write_text(content)
    assert from_junit(file) == from_vitest(file) == Totals()


def test_a_runner_that_failed_counts_whatever_its_report_says() -> None:
    assert Totals(5).blamed(green=False) == Totals(5, 1)
    assert Totals(5, 2).blamed(green=False) == Totals(5, 2)
    assert Totals(5).blamed(green=True) == Totals(5)


def _result(title: str, totals: Totals, *, tested: bool) -> Result:
    step = Step(title, ["true"], count=Totals if tested else None)
    return Result(step, not totals.failed, totals)


@pytest.mark.parametrize(
    ("results", "last", "code"),
    [
        ([("lint", Totals(1), False), ("tests", Totals(9), True)], "10 passed, 0 failed", 0),
        ([("lint", Totals(0, 1), False), ("tests", Totals(9, 2, 3), True)], "9 passed, 3 failed, 3 skipped", 1),
        ([("lint", Totals(1), False), ("tests", Totals(), True)], "1 passed, 1 failed", 1),
        ([("lint", Totals(1), False), ("tests", Totals(0, 0, 4), True)], "1 passed, 1 failed, 4 skipped", 1),
    ],
)
def test_the_last_line_is_the_totals_and_nothing_else(
    results: list[tuple[str, Totals, bool]], last: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [_result(title, totals, tested=tested) for title, totals, tested in results]
    assert suite.conclude(made, tests_wanted=True) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


async def test_a_green_step_is_one_line_and_a_red_one_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    said = "import sys; print('out'); print('err', file=sys.stderr); sys.exit({})"
    green = await steps.run(Step("First", [sys.executable, "-c", said.format(0)]))
    assert (green.green, green.totals) == (True, Totals(1))
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 1
    assert shown.startswith("  First: ok in ")

    red = await steps.run(Step("Second", [sys.executable, "-c", said.format(2)]))
    assert (red.green, red.totals) == (False, Totals(0, 1))
    shown = capsys.readouterr().out
    assert shown.startswith("✗ Second: failed")
    assert "out" in shown
    assert "err" in shown


async def test_a_step_that_cannot_start_or_does_not_end_is_red(capsys: pytest.CaptureFixture[str]) -> None:
    assert not (await steps.run(Step("Missing", ["/no/such/tool"]))).green
    endless = Step("Endless", [sys.executable, "-c", "import time; time.sleep(600)"], deadline_s=0.5)
    assert not (await steps.run(endless)).green
    assert "not done after" in capsys.readouterr().out


async def test_what_a_step_started_is_gone_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    child = (
        f"import subprocess, sys; p = subprocess.Popen(['sleep', '600']); open({str(file)!r}, 'w').write(str(p.pid))"
    )
    await steps.run(Step("Parent", [sys.executable, "-c", f"{child}; sys.stdout.close()"], deadline_s=2))
    stat = Path(f"/proc/{file.read_text()}/stat")
    async with asyncio.timeout(10):
        while stat.exists() and " Z " not in stat.read_text():
            await asyncio.sleep(0.02)


def test_settings_of_whoever_runs_the_tests_do_not_reach_them() -> None:
    env = {"DEPLOYX_PORT": "1", "DEPLOYX_TEST_CHROMIUM": "/browser", "HOME": "/root"}
    assert static.without_settings(env) == {"DEPLOYX_TEST_CHROMIUM": "/browser", "HOME": "/root"}
