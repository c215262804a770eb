"""`deployx.yaml` read: what it makes, and each mistake by its line, its column and a sentence."""

import contextlib
import hashlib
import io
import os
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployx_cli import release_yaml
from deployx_cli.release_compile import Draft, compiled
from deployx_cli.release_yaml import Faults
from deployx_protocol.releases import Kind, PackageState, Reboot, parse, payload_of

SCRIPT = """\
name: shop
version: 2.40
platforms: [linux, darwin]
install:
  script: install.sh
  interpreter: bash -eu
  args: ["--quiet", ""]
  env: {LEVEL: "", SIZE: 007}
  timeout: 90
detect:
  command: test -e '/opt/the shop'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "install.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "shop.conf").write_text("x = 1\n")
    with tarfile.open(tmp_path / "shop.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("shop-2.4/bin/shop")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"hi"))
    return tmp_path


def made(folder: Path, text: str) -> Draft:
    path = folder / "deployx.yaml"
    path.write_bytes(text.encode())
    draft = compiled(path)
    assert parse(payload_of(draft.manifest)) == draft.manifest
    return draft


def wrong(folder: Path, text: str | bytes) -> list[tuple[int, int, str]]:
    path = folder / "deployx.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Faults) as caught:
        compiled(path)
    assert caught.value.found
    return [(one.place.line, one.place.column, one.sentence) for one in caught.value.found]


def test_a_script(folder: Path) -> None:
    draft = made(folder, SCRIPT)
    manifest = draft.manifest
    assert (manifest.name, manifest.version, manifest.kind) == ("shop", "2.40", Kind.SCRIPT)
    assert (draft.number, draft.previous) == (None, "auto")
    [artifact] = manifest.artifacts
    digest = hashlib.sha256(b"#!/bin/sh\n").hexdigest()
    assert (artifact.name, artifact.sha256, artifact.size) == ("install.sh", digest, 10)
    assert draft.files["install.sh"].path == folder.resolve() / "install.sh"
    assert manifest.install and manifest.detect
    assert manifest.install.artifact == "install.sh"
    assert (manifest.install.interpreter, manifest.install.args) == (["bash", "-eu"], ["--quiet", ""])
    assert (manifest.install.env, manifest.install.timeout_s) == ({"LEVEL": "", "SIZE": "007"}, 90.0)
    assert manifest.detect.command == ["test", "-e", "/opt/the shop"]


def test_an_archive_with_everything(folder: Path) -> None:
    draft = made(
        folder,
        """\
name: shop
version: "2.4"
number: 7
platforms: linux/x86_64
description: |
  The shop,
  whole.
artifacts:
  - {file: shop.tar.gz, name: app}
  - sub/shop.conf
archive: {artifact: app, into: /opt/shop, strip: 1, unpacked_max: 1M}
install: {shell: systemctl restart shop | cat}
health:
  check: {command: [curl, -fsS, http://127.0.0.1/]}
  interval: 2s
  successes: 3
  within: 1.5m
uninstall: {shell: rm -rf /var/lib/shop}
previous: shop@2.3
confirm: 5m
reboot: if_needed
timeout: 20m
""",
    )
    manifest = draft.manifest
    assert (draft.number, draft.previous, manifest.kind) == (7, "2.3", Kind.ARCHIVE)
    assert (manifest.description, manifest.reboot) == ("The shop, whole.", Reboot.IF_NEEDED)
    assert manifest.archive and manifest.health and manifest.install
    assert (manifest.archive.strip, manifest.archive.unpacked_max_bytes) == (1, 1 << 20)
    assert (manifest.health.interval_s, manifest.health.within_s) == (2.0, 90.0)
    assert (manifest.confirm_s, manifest.timeout_s) == (300.0, 1_200.0)
    assert manifest.install.timeout_s == 300.0  # of a quarter of all, where nothing is said
    assert [one.name for one in manifest.artifacts] == ["app", "shop.conf"]


def test_a_file_and_packages(folder: Path) -> None:
    head = "name: shop\nversion: 1\nplatforms: [linux]\n"
    file = made(
        folder, head + "artifacts: [sub/shop.conf]\nfile: {artifact: shop.conf, path: /etc/shop.conf, mode: 0600}\n"
    )
    assert file.manifest.file and (file.manifest.file.mode, file.previous) == ("0600", "none")
    plain, exact = (
        made(folder, head + "package: nginx\n"),
        made(folder, head + "package: {name: nginx, version: 1.2-3}\n"),
    )
    assert plain.manifest.package and plain.manifest.package.state is PackageState.PRESENT
    assert exact.manifest.package and exact.manifest.package.state is PackageState.VERSION


def mistakes() -> list[tuple[str, tuple[int, int, str]]]:
    """Those of the file beside this one, and those that no text file can hold."""
    found = []
    for block in (Path(__file__).parent / "golden" / "mistakes.txt").read_text(encoding="utf-8").split("\n\n")[1:]:
        lines, _, said = block.rstrip().rpartition("\n=> ")
        place, _, sentence = said.partition(" ")
        line, column = map(int, place.split(":"))
        found.append((lines, (line, column, sentence)))
    assert len(found) > 50
    return [
        *found,
        ("description: a\x00b", (1, 15, "There is a NUL character here, which cannot be shown.")),
        ("description: a\u202eb", (1, 15, "There is the character U+202E here, which cannot be shown.")),
    ]


MISTAKES = mistakes()
REST = {
    "name": "name: shop", "version": "version: 1", "platforms": "platforms: [linux]",
    "install": "install: {command: 'true'}", "detect": "detect: {command: 'true'}",
}  # fmt: skip


@pytest.mark.parametrize(("lines", "fault"), MISTAKES, ids=[lines[:40] for lines, _ in MISTAKES])
def test_each_mistake_is_said_with_its_place(folder: Path, lines: str, fault: tuple[int, int, str]) -> None:
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "linked").symlink_to("/etc")
    line, column, sentence = fault
    given_keys = {text.partition(":")[0] for text in lines.splitlines()}
    rest = [text for key, text in REST.items() if key not in given_keys]
    if "archive" in given_keys or "package" in given_keys:
        rest = rest[:3]
    found = wrong(folder, "\n".join([lines, *rest]) + "\n")
    assert (line, column, sentence.replace("{folder}", str(folder.resolve()))) in found


def test_all_mistakes_are_said_at_once_in_their_order(folder: Path) -> None:
    found = wrong(folder, "verison: 1\nname: Shop\nplatforms: 5\ninstall: {shel: x}\ntimeout: x\n")
    assert [(line, column) for line, column, _ in found] == [(1, 1), (1, 1), (4, 10), (4, 11), (5, 10)]
    assert [sentence for _, _, sentence in found if "missing" in sentence] == ["`version` is missing here."]


def test_files_that_are_no_manifest(folder: Path) -> None:
    assert wrong(folder, "") == [(1, 1, "The file is empty.")]
    assert "more than one document" in wrong(folder, "a: b\n---\nc: d\n")[0][2]
    assert wrong(folder, b"name: x\nb\xff\xfe")[0] == (2, 1, "This is not UTF-8 text.")
    assert "at most 262,144" in wrong(folder, b"#" * 300_000)[0][2]
    assert wrong(folder, "a: 'x\n") == [(2, 1, "This is not YAML: found unexpected end of stream.")]
    assert wrong(folder, "x:\n  - " + "[" * 20) == [(2, 16, "This is nested deeper than 12 levels.")]
    assert "has to be a mapping" in wrong(folder, "just text")[0][2]
    assert "has to be a mapping" in wrong(folder, "- a\n- b\n")[0][2]


def test_what_would_grow_without_end_ends_at_once(folder: Path) -> None:
    begun = time.process_time()
    bombs = [
        "a: &a [x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)),
        "[" * 20_000,
        "{a: " * 20_000,
        "- " * 20_000,
        "x: [" + "1," * 20_000 + "]",
        "? " * 20_000,
    ]
    for bomb in bombs:
        assert wrong(folder, bomb)
    assert time.process_time() - begun < 20


def test_a_mistake_in_the_middle_of_an_archive_is_found_before_anything_is_sent(folder: Path) -> None:
    with tarfile.open(folder / "evil.tar", "w") as archive:
        for name in ("shop/ok", "shop/../../evil"):
            archive.addfile(tarfile.TarInfo(name))
    [(line, column, sentence)] = wrong(
        folder,
        "name: shop\nversion: 1\nplatforms: linux\nartifacts: [evil.tar]\n"
        "archive:\n  into: /opt/shop\n  artifact: evil.tar\n",
    )
    assert (line, column) == (7, 13)
    assert "'shop/../../evil' in the archive leads out" in sentence


def test_a_pipe_is_no_artifact(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "is no file" in wrong(folder, SCRIPT.replace("install.sh", "pipe"))[0][2]


TOKENS = [
    "a",
    "name",
    ":",
    ": ",
    "\n",
    "  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    '"',
    "&x ",
    "*x",
    "!!str ",
    "|\n",
    ">\n",
    "#",
    "---",
    "\t",
    "?",
]


@example("a: |\n")
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    try:
        release_yaml.read(text.encode())
    except Faults as faults:
        lines = text.split("\n")
        assert all(1 <= one.place.line <= len(lines) + 1 and one.place.column >= 1 for one in faults.found)


@given(st.binary(max_size=200))
def test_no_bytes_either(raw: bytes) -> None:
    with contextlib.suppress(Faults):
        release_yaml.read(raw)
