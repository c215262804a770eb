"""The order of the set-up, and its one way out: a sentence and an exit code."""

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from bootstrap import apart, dashboard, packages, system, venv
from bootstrap.console import SetupError, complain, say
from bootstrap.places import VENV, relative

_INTERRUPTED = 130


def set_up(arguments: list[str]) -> int:
    """`make setup`, or with `--tests` what tests need on top. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="setup.py", description="Set DeployX up in this checkout.")
    parser.add_argument("--tests", action="store_true", help="also what lint, types and tests need")
    parser.add_argument("--system", action="store_true", help="also PostgreSQL and Chromium, by apt when root")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        with _alone():
            venv.ensure()
            _side_by_side(*_parts(tests_too=options.tests, of_the_system=options.system))
    except SetupError as error:
        if error.output:
            complain("\n".join(error.output.rstrip().splitlines()[-25:]))
        complain(str(error))
        return 1
    except OSError as error:
        complain(f"Could not set DeployX up: {error}.")
        return 1
    except KeyboardInterrupt:
        complain("Stopped. Run the same command again to go on from here.")
        return _INTERRUPTED
    elapsed = time.monotonic() - started
    say(f"Set up in {relative(VENV)} ({elapsed:.1f} s).")
    return 0


def _parts(*, tests_too: bool, of_the_system: bool) -> Iterator[list[Callable[[], object]]]:
    """What needs nothing of each other; within a part, one after the other."""
    python: list[Callable[[], object]] = [lambda: packages.ensure(development=tests_too)]
    if tests_too:
        python.append(lambda: apart.ensure("semgrep", "semgrep", "Fetching semgrep"))
    yield python
    yield [lambda: dashboard.ensure(modules=tests_too)]
    if of_the_system:
        yield [system.ensure]


def _side_by_side(*parts: list[Callable[[], object]]) -> None:
    """Do them at the same time: each waits for the network or for one core most of the time. Raises the first error."""

    def do(part: list[Callable[[], object]]) -> None:
        for step in part:
            step()

    with ThreadPoolExecutor(len(parts)) as threads:
        doing = [threads.submit(do, part) for part in parts]
    for done in doing:  # all have ended
        done.result()


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two set-ups of one checkout take turns."""
    try:
        import fcntl
    except ImportError:  # Windows: no such lock, and `make` is rare
        yield
        return
    with (venv.scratch() / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("  Another set-up of this checkout is running: waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
