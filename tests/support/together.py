"""Tests that one worker has to run, one after the other, when several share the work (``--dist loadgroup``).

They are named here rather than marked: pytest-xdist 3.8 tells its scheduler of a mark by changing the name of the test,
which pytest 9.2 does not let it, and then the tests are shared out without a word.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "agent/tests/releases/test_package_release.py::": "dpkg",  # the machine has one, which configures what others left
    "agent/tests/releases/test_killed.py::test_killed_at_a_point[package": "dpkg",
    "backend/tests/artifacts/test_stores.py::": "S3",  # what stands for it takes two seconds to load
    "cli/tests/test_real_runs.py::": "real runs",  # one fleet for all of them
    "tests/packaging/test_wheels.py::": "wheels",
}
"""How the names of tests begin, and what they share."""


class Together(LoadScopeScheduling):
    """Each test for itself, but for these."""

    def _split_scope(self, nodeid: str) -> str:
        return next((shared for begins, shared in TOGETHER.items() if nodeid.startswith(begins)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """In the process that hands out the tests."""
    files = {begins.partition("::")[0] for begins in TOGETHER}
    if gone := [file for file in files if not (config.rootpath / file).exists()]:
        raise pytest.UsageError(f"{__name__} names tests that are gone: {', '.join(gone)}")
    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None
