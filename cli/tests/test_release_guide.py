"""docs/releases.md: each example is a release, and the reference names every key."""

import io
import re
import tarfile
from pathlib import Path

import pytest

from deployx_cli import release_compile
from deployx_cli.release_compile import compiled
from deployx_protocol.releases import Kind

GUIDE = (Path(__file__).parents[2] / "docs" / "releases.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
FILES = ("dist/shop-2.4.tar.gz", "shop.conf", "settings/tuning.conf", "tuning.sh")


@pytest.mark.parametrize("example", EXAMPLES, ids=[text.splitlines()[0] for text in EXAMPLES])
def test_each_example_is_a_release(tmp_path: Path, example: str) -> None:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    with tarfile.open(tmp_path / FILES[0], "w:gz") as archive:
        member = tarfile.TarInfo("shop-2.4/bin/shop")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "deployx.yaml").write_text(example)
    draft = compiled(tmp_path / "deployx.yaml")
    assert draft.previous == ("auto" if draft.manifest.kind is Kind.SCRIPT else "none")


def test_there_is_an_example_of_each_kind() -> None:
    kinds = {
        next((kind for kind in ("archive", "file", "package") if f"\n{kind}:" in text), "script") for text in EXAMPLES
    }
    assert kinds == set(release_compile.WRITTEN)


def test_the_reference_names_every_key() -> None:
    reference = re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", reference))))
    parts = {"into", "strip", "unpacked_max", "path", "mode", "owner", "state", "file"}
    assert {*release_compile.TOP, *release_compile.STEP, *parts, "check", "interval", "successes", "within"} <= named
