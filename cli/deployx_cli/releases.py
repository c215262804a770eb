"""What the commands about releases do: make, sign, send, find.

Invariants: what is signed is what was shown; artifacts are on the server before the release that names them; a release
that the server hands out is believed to be what was asked for only if it says so itself.
"""

import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import typer

from deployx_cli import keys, release_files, release_words, safe, signing, uploading
from deployx_cli.api import Api
from deployx_cli.errors import CommandError, WrongUsage
from deployx_cli.keys import Key
from deployx_cli.progress import Progress
from deployx_cli.release_compile import AUTO, NONE, Draft, compiled
from deployx_cli.release_files import Kept
from deployx_cli.release_yaml import Faults
from deployx_protocol import dsse
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.releases import PAYLOAD_TYPE, Manifest, payload_of

_REFERENCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)@(?P<version>[0-9A-Za-z][0-9A-Za-z.+~:_-]*)")


def draft(path: Path, progress: Progress) -> Draft:
    """What the manifest at ``path`` says. Each mistake goes to stderr with its place. Raises CommandError."""
    try:
        return compiled(path)
    except Faults as faults:
        for fault in faults.found:
            at = f"{safe.text(path)}:{fault.place.line}:{fault.place.column}"
            progress.say(f"{at}: {safe.line(fault.sentence)}")
        count = len(faults.found)
        raise WrongUsage(
            f"{path} has {'a mistake' if count == 1 else f'{count} mistakes'}; nothing was made."
        ) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None


def complete(made: Draft, ask: Callable[[], Api], number: int | None) -> Manifest:
    """The release, with its number and what it goes back to. ``ask`` is called only if the file leaves that open."""
    manifest, newest = made.manifest, None
    number = number or made.number
    if number is None or made.previous == AUTO:
        newest = _newest(ask(), manifest.name)
        number = number or (newest["number"] + 1 if newest else 1)
    if newest and newest["version"] == manifest.version:
        raise CommandError(f"There is a {manifest.name}@{manifest.version} already; raise `version` in the file.")
    previous = None
    if made.previous not in (AUTO, NONE):
        newest = found(ask(), f"{manifest.name}@{made.previous}")
    if newest and made.previous != NONE:
        previous = {"version": newest["version"], "sha256": newest["sha256"], "size": newest["size"]}
    values = {**msgspec.to_builtins(manifest), "number": number, "previous": previous}
    try:
        return msgspec.convert(values, Manifest)
    except msgspec.ValidationError as error:
        raise WrongUsage(f"{error.__cause__ or error}") from None


def kept_of(manifest: Manifest, made: Draft, folder: Path, target: Path) -> Kept:
    """The release with the paths of its artifacts, from the folder of ``target``."""
    base = target.parent.resolve()
    files = {}
    for name, file in made.files.items():
        path = (folder / file.shown).resolve()
        files[name] = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
    return Kept(payload_of(manifest), manifest, [], files)


def sign(release: Kept, opened: Sequence[Key]) -> Kept:
    """``release`` with these signatures as well. Raises CommandError if one has signed it already; a bad one under its
    id is replaced."""
    own = {key.key_id: key.public for key in opened}
    kept = [one for one in release.signatures if one["keyid"] not in own or _is_good(release, one, own[one["keyid"]])]
    request = signing.sign({"envelope": replace(release, signatures=kept).envelope}, opened)
    plain = [{"sig": one["sig"], "keyid": one["keyid"]} for one in request["envelope"]["signatures"]]
    return replace(release, signatures=plain)


def agreed(release: Kept, *, yes: bool) -> None:
    """Show what is to be signed, and ask. Raises CommandError."""
    for line in release_words.printed(release.manifest):
        typer.echo(line, err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("There is nobody to ask whether to sign this; say --yes if you have read it.")
    if not typer.confirm("Sign this?", err=True):
        raise CommandError("Nothing was signed.")


def push(api: Api, release: Kept, folder: Path, progress: Progress) -> dict[str, Any]:
    """Bring ``release`` to the server, with what it lacks of its artifacts from ``folder``. Raises CommandError."""
    check = api.object("POST", "/releases/check", json=release.envelope)
    if check["problem"]:
        raise CommandError(str(check["problem"]["message"]))
    for one in check["missing"]:
        path = folder / release.files.get(one["name"], one["name"])
        if not path.is_file():
            raise CommandError(f"The artifact {one['name']} is not on the server, and there is no file {path}.")
        same = path.stat().st_size == one["size"]
        if not same or uploading.upload(api, path, progress, name=one["name"])["sha256"] != one["sha256"]:
            raise CommandError(f"{path} is not what {release.called} names any more; make the release anew.")
    return api.object("POST", "/releases", json=release.envelope)


def found(api: Api, reference: str) -> dict[str, Any]:
    """The release `name@version` on the server, without its content. Raises CommandError."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise WrongUsage(f"{reference!r} names no release; write NAME@VERSION.")
    page = api.object("GET", "/releases", params={**match.groupdict(), "limit": "1"})
    if not page.get("items"):
        raise CommandError(f"There is no release {reference} on the server; deployx release list shows them.")
    item: dict[str, Any] = page["items"][0]
    return item


def fetched(api: Api, reference: str) -> tuple[dict[str, Any], Kept]:
    """A release on the server, and what it says. Raises CommandError if it says that it is another."""
    detail = api.object("GET", f"/releases/{found(api, reference)['id']}")
    release = release_files.kept(detail, reference)
    if release.called != reference:
        raise CommandError(f"The server handed out {release.called} as {reference}; nothing was done with it.")
    return detail, release


STANDINGS = ("exact", "older", "newer", "missing", "unknown", "unfit")


def standings(text: str) -> list[str]:
    """Those that `--state` names, with commas between them. Raises WrongUsage."""
    named = [word.strip() for word in text.split(",") if word.strip()]
    for word in named:
        if word not in STANDINGS:
            raise WrongUsage(f"{word!r} is no state of a device; write {', '.join(STANDINGS[:-1])} or {STANDINGS[-1]}.")
    return named


def compliance(
    api: Api, reference: str, asked: dict[str, str], listed: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """How devices stand to a release: those of ``listed`` standings, or all, by name; and how many are in each."""
    path = f"/releases/{found(api, reference)['id']}/compliance"
    counts: dict[str, int] = api.object("GET", path, params={**asked, "limit": "1"})["counts"]
    devices: list[dict[str, Any]] = []
    for standing in listed or [""]:
        devices += api.pages(path, {**asked, "standing": standing} if standing else asked)
    return sorted(devices, key=lambda one: (one["device_name"], one["device_id"])), counts


def _newest(api: Api, name: str) -> dict[str, Any] | None:
    items: list[dict[str, Any]] = api.object("GET", "/releases", params={"name": name, "limit": "1"})["items"]
    return items[0] if items else None


def is_file(target: str) -> bool:
    """Whether what somebody named is a file, and no `NAME@VERSION`."""
    return Path(target).exists() or _REFERENCE.fullmatch(target) is None


def verified(release: Kept, named: Sequence[str]) -> list[tuple[str, str]]:
    """Which of these keys (by name, path, or 64 hexadecimal digits) have signed it, as (name, key id)."""
    good: dict[str, tuple[str, str]] = {}
    for name in named:
        public = name if re.fullmatch("[0-9a-f]{64}", name) else keys.load(name).public
        key_id = hashlib.sha256(bytes.fromhex(public)).hexdigest()[:32]
        if any(one["keyid"] == key_id and _is_good(release, one, public) for one in release.signatures):
            good[public] = (name, key_id)
    return list(good.values())


def _is_good(release: Kept, signature: dict[str, str], public: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signed = dsse.pae(PAYLOAD_TYPE, release.payload)
    try:
        raw = dsse.decoded(signature["sig"], "sig")
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(raw, signed)
    except (InvalidSignature, InvalidPayload, ValueError):
        return False
    return True
