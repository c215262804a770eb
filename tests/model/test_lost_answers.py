"""The database commits, and its answer is lost: what was committed happens all the same."""

import pytest

from tests.model.children import Plan
from tests.model.machine import DeliveryMachine
from tests.model.process import Deed, Gate, Trap

COMMITS = 8
"""So many transactions there are at most from one run to the end of the next."""


@pytest.mark.parametrize("which", range(COMMITS))
def test_what_was_committed_goes_on(delivery: type[DeliveryMachine], which: int) -> None:
    state = delivery()
    state.begin(forgetful=False, plan=Plan(), times=1)
    state.good_time(rounds=1, agent=None, server=Trap(Gate.COMMITTED, Deed.AWAY, which))
    state.start_runs(plan=Plan(), times=1, script=False, expires_s=30.0, timeout_s=20.0, max_parallel=None)
    state.judge()
    state.teardown()
    assert state.seen["succeeded"] == 2
