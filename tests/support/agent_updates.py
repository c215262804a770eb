"""Updates of the agent as an operator makes and signs them, and agents that are started as a service starts them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployx_cli import update_bundle, update_release
from deployx_cli.keys import Key
from deployx_cli.update_repository import ROLES, Repository
from deployx_protocol.releases import Artifact, Kind, Manifest
from tests.support.release_peer import ReleasePeer, manifest
from tests.support.update_wheels import Change, make_folder


def key(name: str) -> Key:
    """A key that nobody else has."""
    return Key(name, Ed25519PrivateKey.generate())


@dataclass
class Publisher:
    """Whoever has the keys, with a repository in ``folder``; ``wheels``: of what the agent needs beside itself."""

    folder: Path
    wheels: dict[str, Path]
    ada: Key

    @classmethod
    def make(cls, folder: Path, wheels: dict[str, Path]) -> "Publisher":
        made = cls(folder, wheels, key("ada"))
        made.repository.begin({role: [made.ada] for role in ROLES}, {})
        return made

    @property
    def repository(self) -> Repository:
        return Repository(self.folder / "repository")

    @property
    def root(self) -> Path:
        """What machines pin."""
        return self.folder / "repository" / "metadata" / "1.root.json"

    def add(self, version: str, change: Change | None = None) -> None:
        """Vouch for a version."""
        folder = make_folder(self.folder / version, version, change, wheels=self.wheels)
        update_bundle.write(update_bundle.gathered(folder), self.repository.bundle(version))
        self.repository.add(version, [self.ada])

    def files(self) -> dict[str, str]:
        """The metadata as they are now."""
        return self.repository.published()

    def bundle(self, version: str) -> bytes:
        return self.repository.bundle(version).read_bytes()


def offered(
    peer: ReleasePeer, version: str, bundle: bytes, files: dict[str, str], number: int = 1, release: str = ""
) -> Manifest:
    """A release of it that a server hands out."""
    metadata = json.dumps(files, sort_keys=True).encode()
    artifacts: list[Artifact] = [peer.artifact("bundle.tar", bundle), peer.artifact(update_release.METADATA, metadata)]
    agent = {"version": version, "bundle": "bundle.tar", "metadata": update_release.METADATA}
    return manifest(
        "deployx-agent",
        number,
        version=release or version,
        kind=Kind.AGENT,
        artifacts=artifacts,
        agent=agent,
    )


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
