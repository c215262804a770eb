"""A bug that is put in on purpose is found, and named by its letter."""

import pytest

from tests.support.simulated import Simulate

# One database: the bugs are on the agents' side of the wire.
pytestmark = pytest.mark.databases("sqlite")


FOUND = [
    ("drop", "L"),
    ("repeat", "D"),
    ("misorder", "L"),
    ("presence", "P"),
    ("post", "L"),
    ("script", "L"),
]


@pytest.mark.parametrize(("plant", "letter"), FOUND)
async def test_a_bug_that_was_put_in_is_found(simulate: Simulate, plant: str, letter: str) -> None:
    found = await simulate("--agents", "20", "--seconds", "1", "--plant", plant, "--patience", "4")
    assert found.exit_code == 1
    assert found.verdict[letter], found.figures["findings"]
    assert len(found.figures["findings"][letter]) == found.verdict[letter]
