"""The machine finds what is wrong: with each of the planted bugs it fails, within its budget."""

import pytest
from hypothesis import Verbosity

from tests.model.conftest import Explore
from tests.model.machine import DeliveryMachine
from tests.model.planted import PLANTS

EXAMPLES = 8
"""Of one seed."""
SEEDS_MAX = 12
"""Of one bug; the first is one that is known to find it."""


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("bug", PLANTS)
def test_finds(bug: str, delivery: type[DeliveryMachine], explore: Explore) -> None:
    planted = PLANTS[bug]
    with planted.there(), pytest.raises(AssertionError):
        for seed in range(planted.seed, planted.seed + SEEDS_MAX):
            explore(delivery, EXAMPLES, seed=seed, shrink=False, verbosity=Verbosity.quiet)
