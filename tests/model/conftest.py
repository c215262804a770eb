"""What the tests of the model share: a database of each kind to begin each example with, and how long to look."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis.stateful import run_state_machine_as_test

from tests.model.database import Onlooker, sqlite_in_the_loop
from tests.model.machine import DeliveryMachine, machine
from tests.model.world import quick_folder

STEPS_MAX = 40

Explore = Callable[..., None]


@pytest.fixture
def delivery(database_url: str, tmp_path: Path) -> Iterator[type[DeliveryMachine]]:
    """The machine on a database."""
    with quick_folder(tmp_path) as folder, sqlite_in_the_loop():
        onlooker = Onlooker(database_url, folder)
        yield machine(onlooker, folder)
        onlooker.close()


@pytest.fixture
def explore() -> Explore:
    """``explore(machine, 50)``: look at 50 examples, the same ones each time; with ``seed=n`` at others."""

    def run(
        what: type[DeliveryMachine], examples: int, *, seed: int | None = None, shrink: bool = True, **more: Any
    ) -> None:
        if seed is not None:
            hypothesis.seed(seed)(what)
        settings = hypothesis.settings(
            max_examples=examples,
            stateful_step_count=STEPS_MAX,
            deadline=None,
            database=None,
            derandomize=seed is None,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            **more,
        )
        run_state_machine_as_test(what, settings=settings)

    return run
