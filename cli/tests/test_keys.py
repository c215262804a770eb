"""Operators' keys from the shell, and what is signed with them, as the protocol's own reader has it."""

import base64
import hashlib
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from nacl.signing import VerifyKey
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.signer import SSlibKey

from deployx_cli import keys, signing
from deployx_cli.errors import CommandError, WrongUsage
from deployx_protocol import checks, dsse, signed_runs
from deployx_protocol.dsse import Envelope
from deployx_protocol.signed_runs import key_id


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_a_key_is_made_once_and_shown_as_a_policy_wants_it(deployx: Any, tmp_path: Path) -> None:
    made = deployx("key", "create", "ada", "--no-passphrase")
    assert made.returncode == 0, made.stderr
    file = tmp_path / "deployx" / "keys" / "ada.pem"
    assert str(file) in made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = json.loads(deployx("key", "show", "ada", "--json").stdout)
    assert shown["name"] == "ada"
    assert shown["key_id"] == key_id(shown["public_key"])
    assert deployx("key", "show", str(file)).stdout == made.stdout
    assert made.stdout.splitlines()[1:] == ["[[operator]]", 'name = "ada"', f'key = "{shown["public_key"]}"']
    again = deployx("key", "create", "ada", "--no-passphrase")
    assert (again.returncode, again.stdout) == (1, "")
    assert "There is a key ada already" in again.stderr
    assert deployx("key", "show", "ada").stdout == made.stdout


def test_what_keeps_a_key_from_being_made_or_used(deployx: Any, tmp_path: Path) -> None:
    nobody = deployx("key", "create", "ada")
    assert nobody.returncode == 2
    assert "--no-passphrase" in nobody.stderr
    assert deployx("key", "create", "../ada", "--no-passphrase").returncode == 2
    assert "There is no key in" in deployx("key", "show", "ada").stderr
    deployx("key", "create", "ada", "--no-passphrase")
    file = tmp_path / "deployx" / "keys" / "ada.pem"
    file.chmod(0o640)
    assert "Others can read the key" in deployx("key", "show", "ada").stderr
    file.chmod(0o600)
    file.write_text("nonsense")
    assert "cannot be opened" in deployx("key", "show", "ada").stderr


def test_a_passphrase_is_asked_for_and_is_needed(deployx: Any, home: Path) -> None:
    path, key = keys.create("bob", "open sesame")
    assert b"ENCRYPTED" in path.read_bytes()
    refused = deployx("key", "show", "bob")
    assert refused.returncode == 1
    assert "there is nobody to ask" in refused.stderr
    assert key.public in _answering(home, "open sesame\n")
    assert "the passphrase is wrong" in _answering(home, "open barley\n")


def _answering(home: Path, answer: str) -> str:
    """What `deployx key show bob` prints on a terminal at which somebody types ``answer``."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("deployx")), "key", "show", "bob"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home), "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    printed = b""
    try:
        while chunk := os.read(ours, 65536):
            printed += chunk
            if printed.endswith(b": "):
                os.write(ours, answer.encode())
    except OSError:  # Linux says EIO when the other end is closed
        pass
    os.close(ours)
    process.wait(timeout=60)
    return printed.decode()


REQUEST: dict[str, Any] = {
    "script": "#!/bin/bash -e\necho hi\n",
    "args": ["--all"],
    "env": {"A": "ö"},
    "user": "deploy",
    "timeout_s": 60.0,
    "expires_s": 600.0,
}
DEVICES = [{"id": 4, "key_id": "a" * 32, "hostname": "web-1"}, {"id": 9, "key_id": "b" * 32, "hostname": "web-2"}]


class Previews:
    """Stands for the server: tells whom a request reaches."""

    def __init__(self, devices: list[dict[str, Any]]) -> None:
        self._devices = devices

    def preview(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"total": len(self._devices), "devices": self._devices[:500]}


def prepared(devices: list[dict[str, Any]] = DEVICES, **changes: Any) -> dict[str, Any]:
    request = REQUEST | {"targets": {"selector": "role=web"}} | changes
    return signing.for_devices(Previews(devices), request, None)  # type: ignore[arg-type]  # it says nothing


def test_what_is_signed_is_what_the_machines_read(home: Path) -> None:
    opened = [keys.create(name, "")[1] for name in ("ada", "bob")]
    request = signing.sign(prepared(), opened[:1])
    signing.save(home / "run.json", request)
    assert stat.S_IMODE((home / "run.json").stat().st_mode) == 0o600
    request = signing.sign(signing.load(home / "run.json"), opened[1:])
    envelope = checks.decode(request["envelope"], Envelope)
    run = signed_runs.read(envelope)
    assert run.asked() == signed_runs.Asked.of(
        command=None,
        shell=None,
        script_sha256=hashlib.sha256(REQUEST["script"].encode()).hexdigest(),
        interpreter=["/bin/bash", "-e"],
        args=["--all"],
        user="deploy",
        cwd="",
        env={"A": "ö"},
        timeout_s=60.0,
    )
    assert run.targets == {"a" * 32: "web-1", "b" * 32: "web-2"}
    assert (run.expires_at - run.issued_at).total_seconds() == 600
    assert request["targets"] == {"device_ids": [4, 9]}
    for key, signature in zip(opened, envelope.signatures, strict=True):
        assert signature.keyid == key.key_id == key_id(key.public)
        signed = dsse.pae(envelope.payloadType, envelope.body())
        VerifyKey(bytes.fromhex(key.public)).verify(signed, base64.b64decode(signature.sig))
    with pytest.raises(CommandError, match="has signed this already"):
        signing.sign(request, opened[:1])


def test_the_library_verifies_the_specifications_example() -> None:
    """ECDSA, which our machines do not take; form and signed bytes are the same for each kind of key."""
    x = 46950820868899156662930047687818585632848591499744589407958293238635476079160
    y = 5640078356564379163099075877009565129882514886557779369047442380624545832820
    r_s = base64.b64decode("A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    sig = encode_dss_signature(int.from_bytes(r_s[:32]), int.from_bytes(r_s[32:]))
    told = {
        "payload": "aGVsbG8gd29ybGQ=",
        "payloadType": "http://example.com/HelloWorld",
        "signatures": [{"keyid": "k", "sig": base64.b64encode(sig).decode()}],
    }
    ours = checks.decode(told, Envelope)
    public.verify(sig, dsse.pae(ours.payloadType, ours.body()), ec.ECDSA(hashes.SHA256()))
    theirs = TheirEnvelope.from_dict(told)
    assert theirs.pae() == dsse.pae(ours.payloadType, ours.body())
    assert theirs.verify([SSlibKey.from_crypto(public, keyid="k")], 1)


def test_who_is_to_sign_reads_what_it_is(home: Path) -> None:
    request = prepared()
    said = "\n".join(signing.describe(request))
    assert "/bin/bash -e" in said
    assert "  | echo hi" in said
    assert "on 2 machines: web-1, web-2" in said
    assert "A=ö" in said
    with pytest.raises(CommandError, match="not the one that is to be signed"):
        signing.describe(request | {"script": "reboot"})
    envelopes: list[dict[str, Any]] = [{}, {"payload": "AA"}, {"payload": "e30=", "signatures": []}]
    for envelope in envelopes:
        with pytest.raises(CommandError, match="no run that can be signed"):
            signing.describe({"envelope": envelope})
    hidden = prepared(script=None, command=["\x1b]0;x\x07ls"])
    assert "\x1b" not in "\n".join(signing.describe(hidden))


def test_what_cannot_be_signed() -> None:
    many = [{"id": n, "key_id": f"{n:032x}", "hostname": f"host-{n}"} for n in range(501)]
    with pytest.raises(CommandError, match="for 500 devices at most, and this is for 501"):
        prepared(many)
    with pytest.raises(WrongUsage, match="interpreter"):
        prepared(script="echo hi")
