"""Whatever somebody writes as a path or a name, no file is read or made outside of where it belongs."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.tasks.archive import _entry, file_name
from app.tasks.models import Task
from app.web import spa
from deployx_protocol.task_messages import STDERR, STDOUT

SECRET = b"the secret of the house"
PARTS = st.sampled_from(
    ["..", ".", "", "~", "/", "\\", "%2e%2e", "%2f", "%5c", "%00", "\0", "etc", "passwd", "secret.txt", "assets", "C:"]
)
NAMES = st.one_of(
    st.lists(st.one_of(PARTS, st.text(max_size=8)), max_size=8).map("/".join),
    st.lists(st.one_of(PARTS, st.text(max_size=8)), max_size=8).map("\\".join),
    st.text(max_size=200),
)
"""Paths that lead up, around and nowhere, in the ways of more than one operating system."""


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> spa.Dashboard:
    """A build of two files, beside and above secrets."""
    house = tmp_path_factory.mktemp("house")
    (house / "dist" / "assets").mkdir(parents=True)
    (house / "dist" / "index.html").write_text("<p>hello</p>")
    (house / "dist" / "assets" / "app-1.js").write_text("hello")
    for outside in (house / "secret.txt", house / "dist-secret.txt"):
        outside.write_bytes(SECRET)
    return spa.Dashboard(house / "dist")


@given(name=NAMES)
@example(name="../secret.txt")
@example(name="assets/../../secret.txt")
@example(name="..\\secret.txt")
@example(name="assets/app-1.js/../../../secret.txt")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_threat_17_no_name_is_a_file_outside_of_the_build(dashboard: spa.Dashboard, name: str) -> None:
    file = dashboard.file(name)
    assert file is None or (file.content != SECRET and name in ("index.html", "assets/app-1.js"))


@given(names=st.lists(NAMES, min_size=1, max_size=4))
@example(names=["../../etc/cron.d/x", "..\\..\\x", "/etc/passwd", "C:\\Windows\\x", "\0", "..", "", "a" * 300])
@example(names=["con", "nul", "\u202e../", "\uff0e\uff0e\uff0fx", "a\nb", "a:b"])
def test_threat_17_no_device_name_leads_out_of_the_folder_that_a_zip_is_taken_apart_in(names: list[str]) -> None:
    now, held = datetime.now(UTC), io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for number, name in enumerate(names):
            task = Task(id=f"{number:036}", device_name=name, created_at=now, finished_at=None)
            for stream in (STDOUT, STDERR):
                archive.writestr(_entry(task, stream, 1), b"x")
    with zipfile.ZipFile(held) as archive:
        entries = archive.namelist()
    assert len(set(entries)) == 2 * len(names)
    for entry in entries:
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(entry)
            assert not path.is_absolute()
            assert not path.drive
            assert len(path.parts) == 2, entry
            assert not {"..", "."} & set(path.parts), entry
        assert entry.isprintable()


@given(name=NAMES)
def test_threat_17_a_name_is_one_part_of_a_path_and_no_hidden_one(name: str) -> None:
    made = file_name(name)
    assert made
    assert not made.startswith(".")
    assert Path(made).name == made == PureWindowsPath(made).name
    assert len(made) <= 100
