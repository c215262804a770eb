"""No lock goes below a floor, and a floor that cannot be held is no floor."""

import shutil
from pathlib import Path

import pytest

from bootstrap.places import REQUIREMENTS
from checking import floors

_LOCK = "starlette==1.10.0 \\\n    --hash=sha256:00\nh11==0.16.0 ; python_version < '4' \\\n    --hash=sha256:00\n"


def _folder(tmp_path: Path, floor_lines: str, lock: str = _LOCK) -> Path:
    (tmp_path / floors.FLOORS).write_text(floor_lines)
    (tmp_path / "run.txt").write_text(lock)
    return tmp_path


def test_what_is_locked_here_is_above_the_floors() -> None:
    assert floors.complaints(REQUIREMENTS) == []


def test_a_version_below_its_floor_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path, "# why\nstarlette>=1.10.1  # a hole\nh11>=0.16.0\n")
    assert floors.main(folder) == 1
    assert capsys.readouterr().out == "run.txt locks starlette 1.10.0, which is below 1.10.1: run `make lock`.\n"


def test_versions_are_compared_as_numbers_and_names_as_the_index_does(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "Starlette>=1.9\nh11>=0.9\n")
    assert floors.complaints(folder) == []


def test_every_pin_of_a_package_counts(tmp_path: Path) -> None:
    twice = _LOCK + "h11==0.14.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    [complaint] = floors.complaints(_folder(tmp_path, "h11>=0.16\n", twice))
    assert "h11 0.14.0" in complaint


@pytest.mark.parametrize(
    "line", ["h11", "h11==0.16.0", "h11>=0.16,<1", "h11[x]>=1", "h11>=0.16; python_version<'4'", "!"]
)
def test_what_is_no_floor_is_refused(line: str, tmp_path: Path) -> None:
    [complaint] = floors.complaints(_folder(tmp_path, f"{line}\n"))
    assert "line 1" in complaint and "name>=version" in complaint


def test_a_floor_of_nothing_and_a_second_one_are_refused(tmp_path: Path) -> None:
    found = floors.complaints(_folder(tmp_path, "h11>=0.16\nh11>=0.15\ngone>=1\n"))
    assert found == [
        "floors.txt, line 2: h11 has a floor already.",
        "floors.txt names gone, which no lock has: take the line out.",
    ]


def test_each_floor_here_is_a_floor_of_something_that_would_fall(tmp_path: Path) -> None:
    """Mutation: with every pin at 0 each floor complains, so that none of them is there for show."""
    for file in REQUIREMENTS.glob("*.txt"):
        shutil.copy(file, tmp_path)
    names = {line.partition(">=")[0] for line in (tmp_path / floors.FLOORS).read_text().splitlines() if ">=" in line}
    (tmp_path / "run.txt").write_text("".join(f"{name}==0\n" for name in names))
    assert len([one for one in floors.complaints(tmp_path) if one.startswith("run.txt ")]) == len(names)
