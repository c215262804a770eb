"""The machine finds what is wrong: with each of the planted bugs it fails, within its budget."""

import pytest
from hypothesis import Verbosity

from tests.model.conftest import Explore
from tests.model.machine import DeliveryMachine
from tests.model.planted import PLANTS

EXAMPLES_MAX = 100


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("bug", PLANTS)
def test_finds(bug: str, delivery: type[DeliveryMachine], explore: Explore) -> None:
    planted = PLANTS[bug]
    with planted.there(), pytest.raises(AssertionError):
        explore(delivery, EXAMPLES_MAX, seed=planted.seed, shrink=False, verbosity=Verbosity.quiet)
