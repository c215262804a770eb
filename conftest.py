"""Makes the shared fixtures known to the tests of every package, and gives Hypothesis all the time it needs."""

import gc
import logging
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["tests.support.databases", "tests.support.fixtures", "tests.support.together"]

# What is loaded until the tests begin is no garbage.
gc.disable()

# How long one example takes says more about what else the machine is doing than about the code.
hypothesis.settings.register_profile("deployx", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("deployx")


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """What a test set up for the whole process, its programs among it, does not write to streams that are closed."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def pytest_collection_finish() -> None:
    """What is loaded by now stays until the end: no collection of garbage has to look through it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)
    gc.enable()
