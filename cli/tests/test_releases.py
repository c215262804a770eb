"""Releases from the shell: made and signed without a server, brought to a real one, and what is refused on the way."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_cli import release_files
from deployx_cli.errors import CommandError
from deployx_protocol import dsse
from deployx_protocol.releases import PAYLOAD_TYPE, parse
from tests.support.shell import EMAIL, PASSWORD, RealServer, signed_in

pytestmark = pytest.mark.timeout(300)  # many processes, one after the other
MANIFEST = """\
name: shop
version: {version}
platforms: linux
artifacts: [shop.txt]
file: {{artifact: shop.txt, path: /srv/shop.txt}}
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server for all of these tests; each has a release name of its own."""
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.command("create-user", EMAIL, stdin=f"{PASSWORD}\n")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


def write(folder: Path, name: str, version: str = "1.0", content: str = "hello", more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "shop.txt").write_text(content)
    path = folder / "deployx.yaml"
    path.write_text(MANIFEST.format(version=version).replace("name: shop", f"name: {name}") + more)
    return path


def test_from_a_manifest_to_the_server_and_away(real: RealServer, deployx: Any, tmp_path: Path) -> None:
    signed_in(deployx, real)
    path = write(tmp_path / "work", "shop")
    first = deployx("release", "create", str(path))
    assert (first.returncode, first.stdout) == (0, "shop@1.0\n"), first.stderr
    assert "shop@1.0 is on the server, number 1, signed by 0" in first.stderr
    again = deployx("release", "create", str(path))
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "There is a shop@1.0 already" in again.stderr
    assert deployx("key", "create", "ada", "--no-passphrase").returncode == 0
    path = write(tmp_path / "work", "shop", "1.1", "hello again", "previous: auto\n")
    second = deployx("release", "create", str(path), "--sign", "ada", "--json")
    assert second.returncode == 0, second.stderr
    detail = json.loads(second.stdout)
    assert (detail["number"], detail["previous"]["version"], len(detail["signers"])) == (2, "1.0", 1)

    shown = deployx("release", "show", "shop@1.1")
    assert "puts shop.txt to /srv/shop.txt, mode 0644" in shown.stdout
    assert "goes back to: 1.0" in shown.stdout
    assert "signed by a key that nobody named" in shown.stdout
    listed = deployx("release", "list", "shop")
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == ["RELEASE", "shop@1.1", "shop@1.0"]
    verified = deployx("release", "verify", "shop@1.1", "--key", "ada")
    assert (verified.returncode, "is signed by ada" in verified.stdout) == (0, True)
    stands = deployx("release", "compliance", "shop@1.1", "--on", "role=web", "--state", "older,missing")
    assert (stands.returncode, stands.stdout, stands.stderr) == (0, "DEVICE\tSTATE\tHAS\tWHY\n", "no device\n")
    counted = json.loads(deployx("release", "compliance", "shop@1.1", "--json").stdout)
    assert counted == {"counts": dict.fromkeys(counted["counts"], 0), "devices": []}
    wrong = deployx("release", "compliance", "shop@1.1", "--state", "old")
    assert (wrong.returncode, "'old' is no state of a device; write exact, older" in wrong.stderr) == (2, True)
    words = {"COMP_WORDS": "deployx deploy shop@", "COMP_CWORD": "2"}
    offered = deployx(_DEPLOYX_COMPLETE="complete_bash", **words).stdout.split()
    assert offered == ["shop@1.1", "shop@1.0"]

    needed = deployx("release", "delete", "shop@1.0", "--yes")
    assert (needed.returncode, "goes back to 1.0" in needed.stderr) == (1, True)
    assert deployx("release", "delete", "shop@1.1").returncode == 0
    assert deployx("release", "delete", "shop@1.0").returncode == 0
    gone = deployx("release", "show", "shop@1.1")
    assert (gone.returncode, "There is no release shop@1.1" in gone.stderr) == (1, True)


def test_without_a_server_until_it_is_pushed(real: RealServer, deployx: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "work", "offline", content="far away")
    kept = tmp_path / "work" / "offline.release.json"
    unnumbered = deployx("release", "create", str(path), "--save", str(kept))
    assert (unnumbered.returncode, "not signed in" in unnumbered.stderr) == (77, True)
    assert not kept.exists()
    made = deployx("release", "create", str(path), "--number", "7", "--save", str(kept))
    assert (made.returncode, made.stdout) == (0, "offline@1.0\n"), made.stderr
    keys = {}
    for name in ("ada", "bob", "eve"):
        [keys[name]] = re.findall(r'key = "([0-9a-f]{64})"', deployx("key", "create", name, "--no-passphrase").stdout)
    unasked = deployx("release", "sign", str(kept), "--key", "ada")
    assert (unasked.returncode, "nobody to ask" in unasked.stderr) == (1, True)
    assert "puts shop.txt to /srv/shop.txt" in unasked.stderr  # what is to be signed is shown first
    assert deployx("release", "sign", str(kept), "--key", "ada", "--yes").returncode == 0
    twice = deployx("release", "sign", str(kept), "--key", "ada", "--yes")
    assert (twice.returncode, "has signed this already" in twice.stderr) == (1, True)
    assert deployx("release", "sign", str(kept), "--key", "bob", "--yes").returncode == 0

    envelope = json.loads(kept.read_text())
    payload = dsse.decoded(envelope["payload"], "payload")
    assert (envelope["payloadType"], parse(payload).number) == (PAYLOAD_TYPE, 7)

    def verify(*arguments: str) -> int:
        return int(deployx("release", "verify", str(kept), *arguments).returncode)

    assert verify("--key", "ada", "--key", keys["bob"], "--threshold", "2") == 0
    assert verify("--key", "ada", "--key", "ada", "--key", keys["ada"], "--threshold", "2") == 1
    assert verify("--key", "eve") == 1
    assert verify() == 2

    signed_in(deployx, real)
    (tmp_path / "work" / "shop.txt").write_text("far too!")
    changed = deployx("release", "push", str(kept))
    assert (changed.returncode, "is not what offline@1.0 names any more" in changed.stderr) == (1, True)
    (tmp_path / "work" / "shop.txt").unlink()
    missing = deployx("release", "push", str(kept))
    assert (missing.returncode, "there is no file" in missing.stderr) == (1, True)
    (tmp_path / "work" / "shop.txt").write_text("far away")
    assert deployx("release", "push", str(kept)).stdout == "offline@1.0\n"
    third = deployx("release", "sign", "offline@1.0", "--key", "eve", "--yes")
    assert (third.returncode, "has 3 signatures now" in third.stderr) == (0, True), third.stderr
    with real.api() as api:
        found = api.get("/artifacts").json()["items"]
    assert hashlib.sha256(b"far away").hexdigest() in {one["sha256"] for one in found}


def test_a_manifest_with_mistakes_makes_nothing(deployx: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "work", "shop", more="naem: x\nartefacts: []\n")
    for arguments in (("check", str(path)), ("create", str(path), "--save", str(tmp_path / "x"))):
        refused = deployx("release", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.splitlines() == [
            f"{path}:6:1: A release has no key `naem`. Did you mean `name`?",
            f"{path}:7:1: A release has no key `artefacts`. Did you mean `artifacts`?",
            f"deployx: {path} has 2 mistakes; nothing was made.",
        ]
    assert not (tmp_path / "x").exists()
    absent = deployx("release", "check", str(tmp_path / "none.yaml"))
    assert (absent.returncode, "cannot be read" in absent.stderr) == (1, True)
    fine = deployx("release", "check", str(write(tmp_path / "work", "shop")))
    assert (fine.returncode, fine.stdout.splitlines()[0]) == (0, "shop@1.0, number 1, file")
    assert json.loads(deployx("release", "check", str(path), "--json").stdout)["kind"] == "file"


def test_files_that_hold_no_release(deployx: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content in ("", "{", "[]", "{}", '{"payload": "e30=", "payloadType": "x", "signatures": []}', "[" * 100_000):
        path.write_text(content)
        with pytest.raises(CommandError, match="holds no release"):
            release_files.load(path)
    shown = deployx("release", "show", str(path))
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (1, "", 1)


def test_a_server_that_hands_out_another_release_is_not_believed(server: Any, deployx: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "work", "evil")
    kept = tmp_path / "evil.json"
    assert deployx("release", "create", str(path), "--number", "1", "--save", str(kept)).returncode == 0
    deployx("key", "create", "ada", "--no-passphrase")
    envelope = json.loads(kept.read_text())
    answers = {"GET": {"items": [{"id": "1"}], **envelope, "signers": []}}
    server.answer = lambda request: (200, answers.get(request.method, {}), {})
    env = {"DEPLOYX_URL": server.url, "DEPLOYX_TOKEN": "dxp_x"}
    for command in (("sign", "--key", "ada", "--yes"), ("verify", "--key", "ada")):
        refused = deployx("release", command[0], "shop@1.0", *command[1:], **env)
        assert refused.returncode == 1
        assert "handed out evil@1.0 as shop@1.0" in refused.stderr
    assert {request.method for request in server.requests} == {"GET"}
