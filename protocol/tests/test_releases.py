"""What a release may say: each rule by what it refuses, and one payload for each manifest."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol import limits
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.release_rules import InvalidField
from deployx_protocol.release_sense import imprudent
from deployx_protocol.releases import Manifest, parse, payload_of

STEP: dict[str, Any] = {"command": ["true"]}
TOOL = {"name": "tool", "sha256": "a" * 64, "size": 3}
SCRIPT: dict[str, Any] = {
    "name": "web",
    "version": "1.2",
    "number": 3,
    "kind": "script",
    "platforms": ["linux"],
    "artifacts": [TOOL],
    "install": STEP,
    "detect": STEP,
}
PLAIN = {name: value for name, value in SCRIPT.items() if name not in ("install", "detect")}
ARCHIVE = {**PLAIN, "kind": "archive", "archive": {"artifact": "tool", "into": "/opt/web"}}
FILE = {**PLAIN, "kind": "file", "file": {"artifact": "tool", "path": "/etc/web.conf"}}
PACKAGE = {**PLAIN, "kind": "package", "package": {"name": "nginx"}}


def manifest(said: dict[str, Any], **changes: Any) -> Manifest:
    return msgspec.convert({**said, **changes}, Manifest)


def step(**said: Any) -> dict[str, Any]:
    return {"install": {**STEP, **said}}


@pytest.mark.parametrize("said", [SCRIPT, ARCHIVE, FILE, PACKAGE])
def test_what_is_made_is_read(said: dict[str, Any]) -> None:
    made = manifest(said)
    assert parse(payload_of(made)) == made
    assert imprudent(made) is None


@pytest.mark.parametrize(
    ("said", "changes", "field", "why"),
    [
        (SCRIPT, {"name": "Web"}, "name", "lower case"),
        (SCRIPT, {"name": "../web"}, "name", "lower case"),
        (SCRIPT, {"version": "1 2"}, "version", "no version"),
        (SCRIPT, {"description": "a\u202eb"}, "description", "cannot be shown"),
        (SCRIPT, {"platforms": ["amiga"]}, "platforms", "no platform"),
        (SCRIPT, {"platforms": ["linux", "linux"]}, "platforms", "twice"),
        (SCRIPT, {"detect": None}, "detect", "is there already"),
        (SCRIPT, {"install": None}, "install", "needs `install`"),
        (SCRIPT, {"file": FILE["file"]}, "file", "goes with `kind: file`"),
        (ARCHIVE, {"archive": None}, "archive", "is needed there"),
        (PACKAGE, {"platforms": ["linux", "darwin"]}, "platforms", "alone so far"),
        (SCRIPT, {"artifacts": [TOOL, {**TOOL, "name": "Tool"}]}, "artifacts", "upper and lower case"),
        (ARCHIVE, {"artifacts": []}, "artifacts", "does not list tool"),
        (SCRIPT, {"previous": {"version": "1.2", "sha256": "b" * 64, "size": 9}}, "previous", "itself"),
        (SCRIPT, {"artifacts": [{**TOOL, "name": ".."}]}, "name", "cannot be named"),
        (SCRIPT, {"artifacts": [{**TOOL, "name": "a/b"}]}, "name", "cannot be named"),
        (SCRIPT, step(command=[]), "command", "names no program"),
        (SCRIPT, step(command=["a\0b"]), "command", "NUL"),
        (SCRIPT, step(command=["a"] * 257), "command", "257 parts"),
        (SCRIPT, step(command=["a" * 9_000, "b" * 9_000]), "command", "make it a script"),
        (SCRIPT, step(command=None, shell=" "), "shell", "empty"),
        (SCRIPT, step(command=None, shell="x" * 16_385), "shell", "at most 16,384"),
        (SCRIPT, step(args=["x"]), "args", "with `artifact` alone"),
        (SCRIPT, step(interpreter=["sh"]), "interpreter", "with `artifact` alone"),
        (SCRIPT, step(env={"A=B": "x"}), "env", "name of a variable"),
        (SCRIPT, step(env={"A": "x\0"}), "env", "NUL"),
        (SCRIPT, step(env={f"A{n}": "" for n in range(65)}), "env", "65 variables"),
        (SCRIPT, step(env={"A": "x" * 9_000, "B": "x" * 9_000}), "env", "into an artifact"),
        (FILE, {"file": {"artifact": "tool", "path": "/etc/x", "owner": "a b"}}, "owner", "no owner"),
        (PACKAGE, {"package": {"name": "x", "state": "version"}}, "version", "is needed there"),
        (PACKAGE, {"package": {"name": "x", "version": "1"}}, "version", "goes with `state: version`"),
        (PACKAGE, {"package": {"name": "x", "state": "version", "version": "-o=x"}}, "version", "no version"),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(said: dict[str, Any], changes: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why) as caught:
        manifest(said, **changes)
    assert isinstance(caught.value.__cause__, InvalidField)
    assert caught.value.__cause__.field == field


@pytest.mark.parametrize(
    "into",
    [
        "opt/web", "", "/", "//opt/web", "/opt", "/usr/lib", "/etc", "/opt/../etc/x", "/opt/./web", "/opt/web/",
        "/proc/1", "/dev/shm/web", "/etc/deployx-agent", "/etc/deployx-agent/policy.toml", "/opt/a\nb", "C:\\web",
        "/" + "x" * 1_024,
    ],
)  # fmt: skip
def test_an_archive_takes_the_place_of_nothing_that_is_not_its_own(into: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        manifest(ARCHIVE, archive={"artifact": "tool", "into": into})
    with pytest.raises(msgspec.ValidationError):
        manifest(FILE, file={"artifact": "tool", "path": into})


@pytest.mark.parametrize(
    "into", ["/opt/web", "/usr/lib/web", "/srv/www/site", "/home/web/app", "/etc/web.d", "/opt/..web"]
)
def test_its_own_folder_is_its_own(into: str) -> None:
    assert manifest(ARCHIVE, archive={"artifact": "tool", "into": into}).archive


@pytest.mark.parametrize(
    ("into", "good"),
    [
        ("C:\\Web\\app", True), ("D:\\x", True), ("C:\\", False), ("C:\\Windows", False), ("c:\\windows\\x", False),
        ("C:\\Program Files", False), ("C:\\Program Files\\Web", True), ("C:web", False), ("/opt/web", False),
        ("C:\\a\\..\\b", False), ("C:/web", False), ("C:\\web.", False), ("C:\\web:stream", False),
        ("\\\\host\\share\\web", False), ("C:\\ProgramData\\DeployX Agent\\policy.toml", False),
    ],
)  # fmt: skip
def test_paths_of_windows(into: str, good: bool) -> None:
    said = {"platforms": ["windows"], "archive": {"artifact": "tool", "into": into}}
    if good:
        assert manifest(ARCHIVE, **said)
    else:
        with pytest.raises(msgspec.ValidationError):
            manifest(ARCHIVE, **said)
    with pytest.raises(msgspec.ValidationError, match=r"a release for each|absolute"):
        manifest(ARCHIVE, **{**said, "platforms": ["windows", "linux"]})


def test_for_which_machines_it_is() -> None:
    made = manifest(SCRIPT, platforms=["linux/x86_64", "darwin", "windows/amd64"])
    assert made.runs_on("linux", "x86_64") and made.runs_on("Linux", "AMD64")
    assert made.runs_on("darwin", "arm64") and made.runs_on("windows", "x86_64")
    assert not made.runs_on("linux", "aarch64") and not made.runs_on("freebsd", "x86_64")
    arm = manifest(SCRIPT, platforms=["linux/arm64"])
    assert arm.runs_on("linux", "aarch64") and not arm.runs_on("linux", "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"timeout_s": 1_000.0}, "timeout_s"),
        ({"confirm_s": 3_000.0}, "timeout_s"),
        ({"health": {"check": STEP, "within_s": 3_000.0}}, "timeout_s"),
        ({"health": {"check": STEP, "within_s": 60.0, "interval_s": 30.0, "successes": 3}}, "health"),
        ({"uninstall": {**STEP, "timeout_s": 4_000.0}}, "uninstall"),
        ({name: {"shell": "\x01" * 16_000} for name in ("install", "detect", "uninstall")}, ""),
    ],
)  # fmt: skip
def test_what_could_never_succeed(changes: dict[str, Any], field: str) -> None:
    wrong = imprudent(manifest(SCRIPT, **changes))
    assert wrong and wrong.field == field


def test_a_payload_has_one_form() -> None:
    payload = payload_of(manifest(SCRIPT))
    odd = [
        b" " + payload,
        json.dumps(json.loads(payload)).encode(),
        payload.replace(b'"number":3', b'"number":3,"number":3'),
        payload.replace(b'"web"', b'"\\u0077eb"'),
        payload.replace(b'"number":3', b'"number":3.0'),
        payload[:-1] + b',"zone":1}',
        payload.replace(b'"kind":"script"', b'"kind":"rootkit"'),
        b"[" * 100_000,
        b"\xff\xfe",
        b'"\\ud800"',
        b"x" * (limits.RELEASE_MAX_BYTES + 1),
    ]
    assert parse(payload)
    for one in odd:
        with pytest.raises(InvalidPayload):
            parse(one)


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_bytes_do_anything_but_be_refused(payload: bytes) -> None:
    with pytest.raises(InvalidPayload):
        parse(payload)


@given(into=st.text(st.sampled_from("/.ab\\:C\0 "), max_size=12).map(lambda text: "/" + text))
def test_a_path_that_is_taken_is_what_it_says(into: str) -> None:
    try:
        made = manifest(ARCHIVE, archive={"artifact": "tool", "into": into})
    except msgspec.ValidationError:
        return
    assert made.archive
    parts = made.archive.into.split("/")
    assert parts[0] == "" and len(parts) > 1 and all(part not in ("", ".", "..") for part in parts[1:])
