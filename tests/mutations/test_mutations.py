"""A defence that is taken out is missed: the test that is named for it goes red.

The tests are green as they stand, which the suite itself proves; here each is run once with its defence taken out, in a
copy of the tree. All of them take long, so `make test` does a few.
"""

import re
from collections.abc import Iterator

import pytest

from documents import suite
from documents.source import ROOT
from tests.mutations.copies import Copy
from tests.mutations.table import MUTATIONS, Mutation

QUICK = ("08 terminals are sent what devices print", "21 entries of the record do not hold the one before")


def names(mutation: Mutation) -> str:
    """For the report of a test."""
    return mutation.name


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """One copy for all; each mutation is taken back."""
    return Copy(tmp_path_factory.mktemp("mutations") / "tree")


@pytest.fixture
def planted(copy: Copy, request: pytest.FixtureRequest) -> Iterator[Mutation]:
    """The mutation, in the copy."""
    mutation: Mutation = request.param
    copy.plant(mutation)
    yield mutation
    copy.restore(mutation)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=names)
def test_an_entry_is_about_code_and_a_test_that_are_there(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.text) == 1
    assert mutation.instead != mutation.text
    assert mutation.test in suite.all_tests()
    assert f"test_threat_{mutation.row}_" in mutation.test


def test_every_threat_has_a_mutation_and_each_another_name() -> None:
    page = (ROOT / "docs" / "threats-and-faults.md").read_text(encoding="utf-8").partition("## Faults")[0]
    rows = {f"{int(number):02}" for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert {mutation.row for mutation in MUTATIONS} == rows
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert set(QUICK) <= {mutation.name for mutation in MUTATIONS}


def goes_red(copy: Copy, mutation: Mutation) -> None:
    """The test ran and failed; a mutation that cannot even be imported proves nothing."""
    code, said = copy.test(mutation.test)
    assert code == 1, said[-3000:]
    assert re.search(rf"^FAILED {re.escape(mutation.test)}", said, re.MULTILINE), said[-3000:]
    assert "Interrupted" not in said


@pytest.mark.parametrize("planted", [one for one in MUTATIONS if one.name in QUICK], ids=names, indirect=True)
def test_a_defence_that_is_taken_out_is_missed(copy: Copy, planted: Mutation) -> None:
    goes_red(copy, planted)


@pytest.mark.soak
def test_without_a_mutation_all_of_them_are_green(copy: Copy) -> None:
    code, said = copy.test(*sorted({mutation.test for mutation in MUTATIONS}))
    assert code == 0, said[-3000:]


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("planted", MUTATIONS, ids=names, indirect=True)
def test_each_defence_that_is_taken_out_is_missed(copy: Copy, planted: Mutation) -> None:
    goes_red(copy, planted)
