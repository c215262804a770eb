"""Members of archives: whatever is taken can be unpacked by the simplest of programs and stays inside."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deployx_protocol import archive_rules
from deployx_protocol.archive_rules import MemberKind, Members
from deployx_protocol.checks import InvalidPayload

FILE, FOLDER, SYMLINK, HARDLINK = MemberKind.FILE, MemberKind.FOLDER, MemberKind.SYMLINK, MemberKind.HARDLINK


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../x", FILE, ""), ("a/../../x", FILE, ""), ("/etc/x", FILE, ""), ("a\\..\\..\\x", FILE, ""),
        ("C:\\x", FILE, ""),
        ("", FILE, ""), ("a\0b", FILE, ""), ("x" * 2_000, FILE, ""), ("dev", MemberKind.OTHER, ""),
        ("l", SYMLINK, "/etc/passwd"), ("l", SYMLINK, "../x"), ("a/l", SYMLINK, "../../x"), ("l", SYMLINK, ""),
        ("l", SYMLINK, "a/../../x"), ("l", SYMLINK, "C:\\x"), ("a/l", SYMLINK, "..\\..\\x"),
        ("l", HARDLINK, "../x"), ("l", HARDLINK, "/etc/passwd"),
    ],
)  # fmt: skip
def test_what_leads_out_is_refused(name: str, kind: MemberKind, target: str) -> None:
    with pytest.raises(InvalidPayload):
        Members(0, 100).take(name, kind, target=target)


def test_what_stays_inside_is_taken() -> None:
    members = Members(1, 100)
    assert members.take("app-1", FOLDER) is None
    assert members.take("./app-1/bin/x", FILE, size=50) == "bin/x"
    assert members.take("app-1/lib/l", SYMLINK, target="../bin/x") == "lib/l"
    assert members.take("app-1/hard", HARDLINK, target="app-1/bin/x") == "hard"
    assert members.kept == 3
    with pytest.raises(InvalidPayload):  # it stays inside of the archive, and not of the folder that is left
        members.take("app-1/l", SYMLINK, target="../x")
    with pytest.raises(InvalidPayload):
        members.take("app-1/h", HARDLINK, target="app-1")


@pytest.mark.parametrize(
    "second",
    [("l/x", FILE), ("l", FILE), ("l/deeper/x", FILE), ("l/s", SYMLINK), ("l", FOLDER)],
)
def test_nothing_is_written_through_a_link(second: tuple[str, MemberKind]) -> None:
    members = Members(0, 100)
    members.take("l", SYMLINK, target="a")
    with pytest.raises(InvalidPayload, match="through a link"):
        members.take(*second, target="x")
    members = Members(0, 100)
    members.take("l/x", FILE)
    with pytest.raises(InvalidPayload, match="a folder as well"):
        members.take("l", SYMLINK, target="a")


def test_how_much_and_how_many_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    members = Members(0, 100)
    members.take("a", FILE, size=100)
    with pytest.raises(InvalidPayload, match="more than 100 bytes"):
        members.take("b", FILE, size=1)
    monkeypatch.setattr(archive_rules, "MEMBERS_MAX", 3)
    members = Members(0, 100)
    for number in range(3):
        members.take(f"{number}", FOLDER)
    with pytest.raises(InvalidPayload, match="more than 3 members"):
        members.take("3", FOLDER)


PARTS = st.sampled_from(["a", "b", "..", ".", "", "l"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
MEMBERS = st.lists(st.tuples(NAMES, st.sampled_from([FILE, FOLDER, SYMLINK, HARDLINK]), NAMES), max_size=8)


@example([("a/l", SYMLINK, ".."), ("a/l/l", SYMLINK, "../../..")], 0)
@example([("l", SYMLINK, "."), ("a", SYMLINK, "l/..")], 0)
@settings(max_examples=60)
@given(MEMBERS, st.integers(0, 1))
def test_threat_17_whatever_is_taken_stays_inside(given_members: list[tuple[str, MemberKind, str]], strip: int) -> None:
    members = Members(strip, 1_000)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "deep" / "root"
        root.mkdir(parents=True)
        for name, kind, target in given_members:
            try:
                at = members.take(name, kind, target=target, size=1)
            except InvalidPayload:
                continue
            if at is not None:
                _unpack(root / at, kind, target)
        for above, folders, files in os.walk(root):
            for one in (*folders, *files):
                assert Path(os.path.realpath(Path(above) / one)).is_relative_to(root)
        assert list(root.parent.iterdir()) == [root]


def _unpack(path: Path, kind: MemberKind, target: str) -> None:
    """As somebody does who thinks of nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind is FOLDER:
            path.mkdir(exist_ok=True)
        elif kind is SYMLINK:
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        else:
            path.write_text("x")
    except OSError:  # a folder where a file is, or the other way round
        pass
