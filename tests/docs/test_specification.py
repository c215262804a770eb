"""The table in `docs/specification.md`: complete, and true."""

from collections import Counter

import pytest

from documents.suite import all_tests
from tests.docs.specification import Row, items, rows


@pytest.mark.parametrize("heading", items())
def test_every_item_of_the_specification_is_in_the_table(heading: str) -> None:
    listed = Counter(item for row in rows() if row.section == heading for item in row.items)
    assert not items()[heading] - listed, f"docs/specification.md does not name these under “{heading}”"


def test_the_table_names_nothing_that_the_specification_does_not() -> None:
    known = items()
    invented = [(row.section, set(row.items) - set(known[row.section])) for row in rows() if row.section in known]
    assert not [(section, extra) for section, extra in invented if extra]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.section}: {row.items[0]}")
def test_every_row_has_tests_and_they_exist(row: Row) -> None:
    assert row.tests, "no test fails when this breaks"
    assert not set(row.tests) - all_tests(), "no such test"


def test_the_specification_is_read_at_all() -> None:
    found = items()
    assert len(found) == 15
    assert "agent_id: string," in found["Agent Connection Flowchart"]
    assert "[INFO] Broadcasting status change" in found["Backend Logs"]
    assert found["Device Table"]["TEXT UNIQUE"] == 2
