"""Fixtures for the tests of the developer's tools."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_run import Run, StartRun, is_alive


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[StartRun]:
    """Starts `make run`'s program; nothing of it is left after the test."""
    started: list[Run] = []

    def start(port: int, **settings: str) -> Run:
        run = Run(tmp_path / "data", port, **settings)
        started.append(run)
        return run

    yield start
    for run in started:
        left = run.children() if run.process.poll() is None else []
        if run.process.poll() is None:
            run.end(signal.SIGTERM)
        assert not any(map(is_alive, left)), "run.py left processes behind"
