"""The folder from which versions of the agent are signed: a TUF repository whose keys are all with people.

`metadata/` has every root, the newest of the other roles, and nothing secret; `bundles/` the bundles. Keys are those of
`deployx key`, by their names. Invariant: nothing is published that an agent would not take: each role has the
signatures that the newest root asks for, and none of it has expired.
"""

import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key as PublicKey
from securesystemslib.signer import SSlibKey
from tuf.api._payload import MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata
from tuf.api.serialization.json import JSONSerializer

from deployx_cli.errors import CommandError
from deployx_cli.keys import Key
from deployx_protocol.updates import custom_of, read_custom, target_of

FOLDER = "deployx-updates"
ROLES = ("root", "targets", "snapshot", "timestamp")
ROOT_DAYS, TARGETS_DAYS, FRESH_DAYS = 1_825, 365, 30
_WRITTEN = JSONSerializer(compact=False)


class Repository:
    """In ``folder``. Raises CommandError for what is missing or damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._metadata = folder / "metadata"

    # ------------------------------------------------------------ reading

    def newest_root(self) -> Metadata[Root]:
        """The newest root."""
        numbers = sorted(int(path.name.partition(".")[0]) for path in self._metadata.glob("[0-9]*.root.json"))
        if not numbers:
            raise CommandError(f"{self.folder} holds no update keys; make some with: deployx agent-update init")
        return self._read(Root, f"{numbers[-1]}.root.json")

    def targets(self) -> Metadata[Targets]:
        """The newest list of versions."""
        return self._read(Targets, f"{self._number('targets')}.targets.json")

    def versions(self) -> dict[str, int]:
        """The versions that agents may run → their numbers."""
        found = [read_custom(target.custom) for target in self.targets().signed.targets.values()]
        return dict(sorted(found, key=lambda one: one[1]))

    def expires(self) -> datetime:
        """When agents stop to take what is here."""
        parts: list[Metadata[Any]] = [self.newest_root(), self.targets(), *self._fresh()]
        expires: datetime = min(part.signed.expires for part in parts)
        return expires

    def bundle(self, version: str) -> Path:
        """Where the bundle of a version lies."""
        return self.folder / "bundles" / target_of(version)

    def published(self) -> dict[str, str]:
        """What goes to agents: file name → content."""
        self.check()
        names = [path.name for path in self._metadata.glob("[0-9]*.root.json")]
        names += [f"{self._number(role)}.{role}.json" for role in ("targets", "snapshot")]
        return {
            name: (self._metadata / name).read_text(encoding="utf-8") for name in sorted((*names, "timestamp.json"))
        }

    def check(self) -> None:
        """Raises CommandError unless agents would take it."""
        root = self.newest_root()
        snapshot, timestamp = self._fresh()
        parts: dict[str, Metadata[Any]] = {"root": root, "targets": self.targets()}
        parts |= {"snapshot": snapshot, "timestamp": timestamp}
        number = root.signed.version
        before = self._read(Root, f"{number - 1}.root.json") if number > 1 else root
        for verifier in (before, root):
            self._verify(verifier, "root", root)
        for role in ROLES[1:]:
            self._verify(root, role, parts[role])
        for role, part in parts.items():
            if part.signed.is_expired():
                how = "rekey" if role == "root" else "refresh"
                raise CommandError(f"The {role} has expired on {part.signed.expires:%Y-%m-%d}; run: agent-update {how}")

    @staticmethod
    def _verify(root: Metadata[Root], role: str, part: Metadata[Any]) -> None:
        result = root.signed.get_verification_result(role, part.signed_bytes, part.signatures)
        if not result.verified:
            missing = result.threshold - len(result.signed)
            raise CommandError(
                f"The {role} lacks {missing} signature{'s' if missing > 1 else ''}; somebody who has a key of it runs: "
                f"deployx agent-update sign --key KEY"
            )

    def _fresh(self) -> tuple[Metadata[Snapshot], Metadata[Timestamp]]:
        return (
            self._read(Snapshot, f"{self._number('snapshot')}.snapshot.json"),
            self._read(Timestamp, "timestamp.json"),
        )

    def _number(self, role: str) -> int:
        numbers = [int(path.name.partition(".")[0]) for path in self._metadata.glob(f"[0-9]*.{role}.json")]
        return max(numbers, default=0)

    def _read(self, kind: type[Any], name: str) -> Metadata[Any]:
        try:
            read: Metadata[Any] = Metadata.from_file(str(self._metadata / name))
        except (RepositoryError, OSError) as error:
            raise CommandError(f"{self._metadata / name} cannot be used: {error}") from None
        if not isinstance(read.signed, kind):
            raise CommandError(f"{self._metadata / name} is no {kind.type}.")
        return read

    # ------------------------------------------------------------ writing

    def begin(self, keys: dict[str, Sequence[Key]], thresholds: dict[str, int]) -> None:
        """Make it: role → the keys that are to sign it. Root's and targets' keys sign at once."""
        if any(self._metadata.glob("*.root.json")):
            raise CommandError(f"{self.folder} has update keys already; deployx agent-update rekey changes them.")
        root = Metadata(_root(1, keys, thresholds))
        self._sign(root, keys["root"])
        self._write(root, "1.root.json")
        self._publish_targets(Targets(1, expires=_in(TARGETS_DAYS)), _unique(keys))

    def rekey(self, keys: dict[str, Sequence[Key]], thresholds: dict[str, int], signing: Iterable[Key]) -> None:
        """Other keys from now on. ``signing``: keys of the old root and of the new one."""
        number = self.newest_root().signed.version + 1
        root = Metadata(_root(number, keys, thresholds))
        targets = self.targets().signed
        opened = _unique({**keys, "signing": list(signing)})
        old, new = self.newest_root().signed.roles["root"].keyids, root.signed.roles["root"].keyids
        self._sign(root, [key for key in opened if key.key_id in (*old, *new)])
        self._write(root, f"{number}.root.json")
        targets.version += 1
        self._publish_targets(targets, opened)

    def add(self, version: str, keys: Sequence[Key]) -> int:
        """Let agents run ``version``, whose bundle is in its place; its number."""
        targets = self.targets().signed
        if target_of(version) in targets.targets:
            raise CommandError(f"Version {version} is there already; another content needs another version.")
        number = max((read_custom(one.custom)[1] for one in targets.targets.values()), default=0) + 1
        number = max(number, int(targets.unrecognized_fields.get("x-deployx-next", 1)))
        target = TargetFile.from_file(target_of(version), str(self.bundle(version)))
        target.unrecognized_fields["custom"] = custom_of(version, number)
        targets.targets[target_of(version)] = target
        targets.unrecognized_fields["x-deployx-next"] = number + 1
        self._next_targets(targets, keys)
        return number

    def withdraw(self, version: str, keys: Sequence[Key]) -> None:
        """Let no agent go to ``version`` any more, nor back to it."""
        targets = self.targets().signed
        if targets.targets.pop(target_of(version), None) is None:
            raise CommandError(f"Version {version} is not there; deployx agent-update list shows what is.")
        self._next_targets(targets, keys)

    def refresh(self, keys: Sequence[Key], days: int = FRESH_DAYS) -> None:
        """A new time-out for what is there."""
        self._publish_snapshot(keys, days)

    def sign(self, keys: Sequence[Key]) -> list[str]:
        """Add the signatures of these keys wherever the root wants them and they are missing; where that was."""
        root = self.newest_root()
        snapshot, timestamp = self._fresh()
        parts: list[tuple[str, Metadata[Any], str]] = [
            ("root", root, f"{root.signed.version}.root.json"),
            ("targets", self.targets(), f"{self._number('targets')}.targets.json"),
            ("snapshot", snapshot, f"{snapshot.signed.version}.snapshot.json"),
            ("timestamp", timestamp, "timestamp.json"),
        ]
        number, done = root.signed.version, []
        old = self._read(Root, f"{number - 1}.root.json").signed.roles["root"].keyids if number > 1 else []
        for role, part, name in parts:
            wanted = [*root.signed.roles[role].keyids, *(old if role == "root" else ())]
            missing = [key for key in keys if key.key_id in wanted and key.key_id not in part.signatures]
            if missing:
                self._sign(part, missing)
                self._write(part, name)
                done.append(role)
        return done

    def _next_targets(self, targets: Targets, keys: Sequence[Key]) -> None:
        targets.version += 1
        targets.expires = _in(TARGETS_DAYS)
        self._publish_targets(targets, keys)

    def _publish_targets(self, targets: Targets, keys: Sequence[Key]) -> None:
        signed = Metadata(targets)
        self._sign(signed, self._of("targets", keys))
        self._write(signed, f"{targets.version}.targets.json")
        self._publish_snapshot(keys, FRESH_DAYS)

    def _publish_snapshot(self, keys: Sequence[Key], days: int) -> None:
        number = self._number("snapshot") + 1
        snapshot = Metadata(Snapshot(number, expires=_in(days)))
        snapshot.signed.meta = {"targets.json": MetaFile(self._number("targets"))}
        self._sign(snapshot, self._of("snapshot", keys))
        self._write(snapshot, f"{number}.snapshot.json")
        old = self._metadata / "timestamp.json"
        before = self._read(Timestamp, "timestamp.json").signed.version if old.exists() else 0
        timestamp = Metadata(Timestamp(before + 1, expires=_in(days), snapshot_meta=MetaFile(number)))
        self._sign(timestamp, self._of("timestamp", keys))
        self._write(timestamp, "timestamp.json")

    def _of(self, role: str, keys: Sequence[Key]) -> list[Key]:
        wanted = self.newest_root().signed.roles[role].keyids
        found = [key for key in keys if key.key_id in wanted]
        if not found:
            raise CommandError(f"None of these keys signs the {role}; deployx agent-update list shows which do.")
        return found

    @staticmethod
    def _sign(part: Metadata[Any], keys: Iterable[Key]) -> None:
        for key in keys:
            part.sign(key.signer(), append=True)

    def _write(self, part: Metadata[Any], name: str) -> None:
        try:
            self._metadata.mkdir(parents=True, exist_ok=True)
            write(self._metadata / name, part.to_bytes(_WRITTEN))
        except OSError as error:
            raise CommandError(f"{self._metadata / name} cannot be written: {error.strerror}.") from None


def write(path: Path, content: bytes) -> None:
    """Put ``content``, which is no secret, in place of what ``path`` holds, whole or not at all. Raises OSError."""
    partial = path.with_name(f".{path.name}.tmp")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def as_artifact(files: dict[str, str]) -> bytes:
    """What a release of a version brings along."""
    return json.dumps(files, sort_keys=True).encode()


def _root(number: int, keys: dict[str, Sequence[Key]], thresholds: dict[str, int]) -> Root:
    roles = {}
    for role in ROLES:
        ids = [key.key_id for key in keys[role]]
        if len(set(ids)) < len(ids) or not 1 <= thresholds.get(role, 1) <= len(ids):
            raise CommandError(
                f"The {role} asks for {thresholds.get(role, 1)} signatures, and has {len(set(ids))} keys."
            )
        roles[role] = Role(ids, thresholds.get(role, 1))
    known: dict[str, PublicKey] = {
        key.key_id: SSlibKey(key.key_id, "ed25519", "ed25519", {"public": key.public}) for key in _unique(keys)
    }
    return Root(number, expires=_in(ROOT_DAYS), keys=known, roles=roles, consistent_snapshot=True)


def _unique(keys: dict[str, Sequence[Key]]) -> list[Key]:
    return list({key.key_id: key for of_role in keys.values() for key in of_role}.values())


def _in(days: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
