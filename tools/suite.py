"""`make check` and `make test`: every runner there is, one way to read them, one line of totals at the end.

A red step does not keep the others from running, so one run shows everything that is red. The last line is
`N passed, N failed`; a check counts as one. The exit code is 0 only if nothing failed and, for `test`, tests did run.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Coroutine, Iterable, Mapping
from pathlib import Path

import processes
from bootstrap import node
from bootstrap.console import SetupError, complain, say
from bootstrap.places import BIN, ROOT
from checking import static, tests
from checking.steps import Result, Step, run
from checking.totals import Totals

_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """The exit code of `check` or `test`."""
    parser = argparse.ArgumentParser(prog="suite.py", description="Check DeployX, or check and test it.")
    parser.add_argument("what", choices=("check", "test"))
    options = parser.parse_args(arguments)
    try:
        dashboard_env = static.without_settings(node.environment())
        results = asyncio.run(_until_stopped(_suite(options.what == "test", dashboard_env)))
    except SetupError as error:
        complain(f"{error.output}\n{error}".strip())
        return 1
    if results is None:
        complain("Stopped.")
        return _INTERRUPTED
    return conclude(results, tests_wanted=options.what == "test")


def conclude(results: list[Result], *, tests_wanted: bool) -> int:
    """Name what was red, print the totals as the last line, and return the exit code."""
    totals = sum((result.totals for result in results), Totals())
    red = [result.step.title for result in results if not result.green]
    tested = sum((result.totals for result in results if result.step.count), Totals())
    if tests_wanted and not tested.ran:
        red.append("no test ran")
        totals += Totals(failed=1)
    if red:
        say(f"Failed: {', '.join(red)}")
    say(str(totals))
    return 1 if totals.failed else 0


async def _suite(tests_too: bool, dashboard_env: Mapping[str, str]) -> list[Result]:
    python_env = static.without_settings({**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"})
    say("Checks" if not tests_too else "Checks and tests")
    python, dashboard = static.python_steps(python_env), static.dashboard_steps(dashboard_env)
    alone: list[Step] = []
    if tests_too:
        (ROOT / "test-results").mkdir(exist_ok=True)
        reports = Path(tempfile.mkdtemp(prefix="run-", dir=ROOT / "test-results"))
        beside, serial = tests.python_steps(python_env, reports)
        python.append(beside)
        dashboard.append(tests.dashboard_step(dashboard_env, reports))
        alone.append(serial)
    # Neither lane fills two cores by itself.
    async with asyncio.TaskGroup() as group:
        lanes = [group.create_task(_lane(steps)) for steps in (python, dashboard)]
    results = [result for lane in lanes for result in lane.result()]
    return results + await _lane(alone)


async def _lane(steps: Iterable[Step]) -> list[Result]:
    return [await run(step) for step in steps]


async def _until_stopped(suite: Coroutine[None, None, list[Result]]) -> list[Result] | None:
    work, asked = asyncio.ensure_future(suite), asyncio.ensure_future(processes.stopping().wait())
    await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if work.done():
        return work.result()
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
