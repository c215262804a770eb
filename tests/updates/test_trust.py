"""Whose word a machine takes for a version of the agent: what the thief of a server can hand on, and what comes of it.

The thief has everything that is on a server, and any key but those of the publisher's people."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployx_agent.update.trust import Trust, Untrusted
from deployx_cli.keys import Key
from deployx_cli.update_repository import Repository
from tests.support.agent_updates import key

ROLES = ("root", "targets", "snapshot", "timestamp")


def published(folder: Path, owner: Key, *versions: str) -> Repository:
    """A repository with bundles that hold nothing but their names."""
    made = Repository(folder)
    made.begin({role: [owner] for role in ROLES}, {})
    for version in versions:
        vouch(made, owner, version)
    return made


def vouch(repository: Repository, owner: Key, version: str, content: str = "") -> Path:
    path = repository.bundle(version)
    path.parent.mkdir(exist_ok=True)
    path.write_text(content or version)
    repository.add(version, [owner])
    return path


class Machine:
    """What a machine keeps, and what it says to what it is handed."""

    def __init__(self, folder: Path, root: bytes) -> None:
        self.folder, self.root = folder, root

    def number(self, files: dict[str, str], version: str, bundle: Path, highest: int = 0) -> int:
        return Trust(self.root, self.folder, files).bundle(version, bundle, highest)

    def refuses(self, files: dict[str, str], version: str, bundle: Path, why: str, highest: int = 0) -> None:
        with pytest.raises(Untrusted, match=why):
            self.number(files, version, bundle, highest)


@pytest.fixture
def ada() -> Key:
    return key("ada")


@pytest.fixture
def repository(tmp_path: Path, ada: Key) -> Repository:
    return published(tmp_path / "repository", ada, "1.0", "2.0")


@pytest.fixture
def machine(tmp_path: Path, repository: Repository) -> Machine:
    return Machine(tmp_path / "metadata", repository.published()["1.root.json"].encode())


def test_threat_19_what_the_keys_vouch_for_is_taken_and_nothing_else(repository: Repository, machine: Machine) -> None:
    files, bundle = repository.published(), repository.bundle("2.0")
    assert machine.number(files, "2.0", bundle, highest=2) == 2
    machine.refuses(files, "2.0", repository.bundle("1.0"), "not the one that was signed")
    machine.refuses(files, "3.0", bundle, "does not name version 3.0")
    machine.refuses(files, "1.0", repository.bundle("1.0"), "never goes below", highest=2)
    machine.refuses({}, "2.0", bundle, "not what the keys")
    machine.refuses(files | {"timestamp.json": "{"}, "2.0", bundle, "not what the keys")


def test_threat_19_a_thief_signs_with_any_other_key(
    tmp_path: Path, ada: Key, repository: Repository, machine: Machine
) -> None:
    thief = key("thief")
    theirs = published(tmp_path / "theirs", thief, "1.0", "2.0", "6.6")
    machine.refuses(theirs.published(), "6.6", theirs.bundle("6.6"), "not what the keys")
    mixed = repository.published() | {
        name: text for name, text in theirs.published().items() if not name.endswith("root.json")
    }
    machine.refuses(mixed, "6.6", theirs.bundle("6.6"), "not what the keys")
    own = json.loads(theirs.published()["1.root.json"])
    own["signed"]["version"] = 2
    machine.refuses(
        repository.published() | {"2.root.json": json.dumps(own)}, "2.0", repository.bundle("2.0"), "not what the keys"
    )
    assert machine.number(repository.published(), "2.0", repository.bundle("2.0")) == 2


def test_threat_19_what_was_seen_once_is_not_taken_back(repository: Repository, machine: Machine, ada: Key) -> None:
    old = repository.published()
    repository.withdraw("1.0", [ada])
    new = repository.published()
    machine.number(new, "2.0", repository.bundle("2.0"))
    machine.refuses(old, "1.0", repository.bundle("1.0"), "does not name version 1.0|not what the keys")
    mixed = new | {name: text for name, text in old.items() if "targets" in name or "snapshot" in name}
    machine.refuses(mixed, "1.0", repository.bundle("1.0"), "does not name version 1.0|not what the keys")
    assert machine.number(new, "2.0", repository.bundle("2.0")) == 2


def test_threat_19_what_is_too_old_is_refused(
    repository: Repository, machine: Machine, ada: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, bundle = repository.published(), repository.bundle("2.0")
    later = datetime.now(UTC) + timedelta(days=31)

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return later

    monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime.datetime", Later)
    machine.refuses(files, "2.0", bundle, r"too old .*agent-update refresh")
    monkeypatch.undo()
    repository.refresh([ada], days=60)
    monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime.datetime", Later)
    assert machine.number(repository.published(), "2.0", bundle) == 2


def test_lost_keys_are_replaced_and_machines_follow(repository: Repository, machine: Machine, ada: Key) -> None:
    bob, carl = key("bob"), key("carl")
    machine.number(repository.published(), "2.0", repository.bundle("2.0"))
    repository.rekey({role: [bob, carl] for role in ROLES}, {"root": 2}, [ada])
    vouch(repository, bob, "3.0")
    assert machine.number(repository.published(), "3.0", repository.bundle("3.0")) == 3
    forged = key("thief")
    fake = published(repository.folder.parent / "fake", ada, "6.6")  # ada's key counts no more
    machine.refuses(fake.published(), "6.6", fake.bundle("6.6"), "does not name|not what the keys")
    assert forged.key_id not in repository.newest_root().signed.roles["root"].keyids


def test_another_root_by_the_machines_own_hand_begins_anew(
    tmp_path: Path, machine: Machine, repository: Repository
) -> None:
    machine.number(repository.published(), "2.0", repository.bundle("2.0"))
    eve = key("eve")
    other = published(tmp_path / "other", eve, "1.0")
    machine.root = other.published()["1.root.json"].encode()
    assert machine.number(other.published(), "1.0", other.bundle("1.0")) == 1


def test_what_is_remembered_is_durable_before_anything_follows(
    repository: Repository, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    machine.number(repository.published(), "2.0", repository.bundle("2.0"))
    assert len(synced) > len(list(machine.folder.glob("*.json")))
