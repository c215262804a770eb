"""A version of the agent as a release: the bundle, and the metadata that vouches for it, as its artifacts."""

import hashlib
import tarfile
from pathlib import Path
from typing import Any

import msgspec

from deployx_cli.api import Api
from deployx_cli.errors import CommandError
from deployx_cli.release_files import Kept
from deployx_cli.update_bundle import Wheels, sha256_of
from deployx_cli.update_repository import Repository, as_artifact, write
from deployx_protocol.releases import AGENT_NAME, Artifact, Kind, Manifest, payload_of

METADATA = "update-metadata.json"


def made(repository: Repository, version: str) -> Kept:
    """The release, as number 1, with its artifacts in the folder of the repository. Raises CommandError."""
    if version not in repository.versions():
        raise CommandError(f"Version {version} is not there; deployx agent-update list shows what is.")
    bundle = repository.bundle(version)
    metadata = as_artifact(repository.published())
    try:
        write(repository.folder / METADATA, metadata)
        artifacts = [
            Artifact(name=bundle.name, sha256=sha256_of(bundle), size=bundle.stat().st_size),
            Artifact(name=METADATA, sha256=hashlib.sha256(metadata).hexdigest(), size=len(metadata)),
        ]
    except OSError as error:
        raise CommandError(f"{bundle} cannot be read: {error.strerror}.") from None
    manifest = _manifest(
        version=version,
        number=1,
        timeout_s=600.0,
        platforms=_wheels(bundle).platforms,
        artifacts=artifacts,
        agent={"version": version, "bundle": bundle.name, "metadata": METADATA},
    )
    files = {bundle.name: f"bundles/{bundle.name}", METADATA: METADATA}
    return Kept(payload_of(manifest), manifest, [], files)


def numbered(release: Kept, api: Api) -> Kept:
    """With the number that comes next on the server; a version that was sent before gets that into its name."""
    items = api.object("GET", "/releases", params={"name": AGENT_NAME, "limit": "100"})["items"]
    number = items[0]["number"] + 1 if items else 1
    version = release.manifest.version
    if any(one["version"] == version for one in items):
        version = f"{version}+{number}"
    plain = {**msgspec.to_builtins(release.manifest), "number": number, "version": version}
    manifest = _manifest(**plain)
    return Kept(payload_of(manifest), manifest, [], release.files)


def _manifest(**fields: Any) -> Manifest:
    plain = {"name": AGENT_NAME, "kind": Kind.AGENT, "description": "The agent itself.", **fields}
    return msgspec.convert(msgspec.to_builtins(plain), Manifest)


def _wheels(bundle: Path) -> Wheels:
    with tarfile.open(bundle) as tar:
        return Wheels("", tuple(Path(name) for name in tar.getnames()))
