"""Agent, server, database and network, with crashes at every step: no task is lost, none runs twice, none is stuck."""

import time

import pytest

from tests.model.conftest import Explore
from tests.model.machine import DeliveryMachine

SOAK_S = 1_200
SOAK_EXAMPLES = 200
"""Of one seed."""


@pytest.mark.databases("sqlite")
def test_keeps_its_promises(delivery: type[DeliveryMachine], explore: Explore) -> None:
    explore(delivery, 25)
    assert delivery.seen["succeeded"] > 10, "there was something to be judged"


@pytest.mark.databases("postgresql")
def test_keeps_its_promises_on_postgresql(delivery: type[DeliveryMachine], explore: Explore) -> None:
    explore(delivery, 4)


@pytest.mark.soak
@pytest.mark.timeout(SOAK_S * 3)
def test_keeps_its_promises_for_long(delivery: type[DeliveryMachine], explore: Explore) -> None:
    began, seed = time.monotonic(), time.time_ns() % 1_000_000
    while time.monotonic() - began < SOAK_S:
        print(f"seed {seed}: {dict(delivery.seen)} after {time.monotonic() - began:.0f} s")
        explore(delivery, SOAK_EXAMPLES, seed=seed)
        seed += 1
    print(f"L = D = U = 0 in {dict(delivery.seen)}")
