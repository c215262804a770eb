"""`deployx run --sign`: everything that a run does, on exactly which devices, sealed by an operator's key.

The server is told, and cannot change, what is signed: the machines compare. Invariant: a request that is signed names
its devices one by one, as they were shown to who signed.
"""

import base64
import hashlib
import json
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from deployx_cli import keys, safe, store
from deployx_cli.errors import CommandError, WrongUsage
from deployx_cli.keys import Key
from deployx_cli.progress import Progress
from deployx_cli.running import tell_reach
from deployx_cli.work import Work

PAYLOAD_TYPE = "application/vnd.deployx.run.v1+json"
DEVICES_MAX = 500
_TIMEOUT_S, _EXPIRES_S = 3_600.0, 86_400.0
_NAMED = 20


def signed(work: Work, request: dict[str, Any], names: Sequence[str], *, yes: bool) -> dict[str, Any]:
    """``request``, signed with these keys for the devices that it reaches now. Somebody at a terminal is asked."""
    progress, opened = Progress(), [keys.load(name) for name in names]
    request = for_devices(work, request, progress)
    for line in describe(request):
        progress.say(line)
    if sys.stdin.isatty() and not yes and not typer.confirm("Sign this?", err=True):
        raise CommandError("Nothing was signed, and nothing was started.")
    request = sign(request, opened)
    progress.say(f"Signed by {', '.join(f'{key.name} (key {key.key_id})' for key in opened)}.")
    return request


def for_devices(work: Work, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """``request`` with an envelope that nobody has signed yet, for the devices that it reaches now. Tells which."""
    request = _explicit(request)
    preview = work.preview(request)
    if not preview["total"]:
        tell_reach(progress, preview, request["expires_s"])
    if preview["total"] > DEVICES_MAX:
        raise CommandError(
            f"A signed run is for {DEVICES_MAX} devices at most, and this is for {preview['total']}; choose fewer."
        )
    devices = preview["devices"]
    body = json.dumps(payload_of(request, devices, datetime.now(UTC)), ensure_ascii=False, sort_keys=True).encode()
    envelope = {"payload": base64.b64encode(body).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
    return {**request, "targets": {"device_ids": [one["id"] for one in devices]}, "envelope": envelope}


def sign(request: dict[str, Any], opened: Sequence[Key]) -> dict[str, Any]:
    """``request`` with the signatures of ``opened`` as well. Raises CommandError if one has signed it already."""
    from securesystemslib.dsse import Envelope

    given = request["envelope"]
    envelope = Envelope.from_dict({**given, "signatures": [dict(one) for one in given["signatures"]]})
    for key in opened:
        if key.key_id in envelope.signatures:
            raise CommandError(f"The key {key.name} has signed this already.")
        envelope.sign(key.signer())
    return {**request, "envelope": envelope.to_dict()}


def payload_of(request: dict[str, Any], devices: Sequence[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """What is signed of ``request``, as docs/protocol.md has it."""
    script = request.get("script")
    return {
        "command": request.get("command"),
        "shell": request.get("shell"),
        "script": None
        if script is None
        else {
            "sha256": hashlib.sha256(script.encode()).hexdigest(),
            "interpreter": request["interpreter"],
            "args": request.get("args", []),
        },
        "user": request.get("user", ""),
        "cwd": request.get("cwd", ""),
        "env": request.get("env", {}),
        "timeout_s": request["timeout_s"],
        "targets": {one["key_id"]: one["hostname"] for one in devices},
        "issued_at": _moment(now),
        "expires_at": _moment(now + timedelta(seconds=request["expires_s"])),
        "number": secrets.token_hex(16),
    }


def describe(request: dict[str, Any]) -> list[str]:
    """What the envelope of ``request`` says, for who is to sign it. Raises CommandError for what is none."""
    try:
        said = json.loads(base64.b64decode(request["envelope"]["payload"], validate=True))
        lines = [f"{name}: {safe.text(_words(said[name]))}" for name in ("command", "shell", "script") if said[name]]
        if said["script"]:
            text = request.get("script") or ""
            if hashlib.sha256(text.encode()).hexdigest() != said["script"]["sha256"]:
                raise CommandError("The script in the file is not the one that is to be signed.")
            lines += [f"  | {safe.line(line)}" for line in text.splitlines()]
        lines += [f"{name}: {safe.text(_words(said[name]))}" for name in ("user", "cwd", "env") if said[name]]
        names = sorted(said["targets"].values())
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        machines = "machine" if len(names) == 1 else "machines"
        lines.append(f"on {len(names)} {machines}: {safe.text(', '.join(names[:_NAMED]))}{more}")
        lines.append(f"at most {said['timeout_s']:g} s each, to be started before {safe.text(said['expires_at'])}")
        signed = [one["keyid"] for one in request["envelope"]["signatures"]]
        return lines + ([f"signed by the keys {safe.text(', '.join(signed))}"] if signed else [])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CommandError(
            "The file holds no run that can be signed; make one with: deployx run … --save FILE"
        ) from None


def save(path: Path, request: dict[str, Any]) -> None:
    """Keep ``request`` in a file that only its owner can read. Raises CommandError."""
    try:
        store.write(path, request)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}.") from None


def load(path: Path) -> dict[str, Any]:
    """A request that was kept. Raises CommandError."""
    try:
        request = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error}.") from None
    except ValueError:
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("envelope"), dict):
        raise CommandError(f"{path} holds no run; make one with: deployx run … --save FILE")
    return request


def _explicit(request: dict[str, Any]) -> dict[str, Any]:
    """``request`` with nothing left to the server's choice."""
    request = {"timeout_s": _TIMEOUT_S, "expires_s": _EXPIRES_S, **request}
    if request.get("script") is not None and not request.get("interpreter"):
        lines = [line.strip() for line in request["script"].splitlines() if line.strip()]
        if not lines or not lines[0].startswith("#!") or not lines[0].removeprefix("#!").strip():
            raise WrongUsage("Say what runs the script: its --interpreter, or a first line that begins with #!.")
        request["interpreter"] = lines[0].removeprefix("#!").split(maxsplit=1)
    return request


def _words(value: Any) -> str:
    if isinstance(value, dict) and "sha256" in value:
        return " ".join([*value["interpreter"], f"(SHA-256 {value['sha256']})", *value["args"]])
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items())
    return " ".join(value) if isinstance(value, list) else str(value)


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
