"""Secrets at rest: sealed with a key that nobody else reads, and nothing is opened where it does not belong."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.accounts.sealing import KEY_FILE, Sealer, Unreadable
from app.errors import Unavailable
from app.settings import Settings


def settings(folder: Path, key: str = "") -> Settings:
    return Settings(data_dir=folder, secret_key=SecretStr(key))


def test_the_key_is_made_when_it_is_needed_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sealer = Sealer(settings(folder))
    assert not folder.exists()
    sealed = sealer.seal(b"secret", "one")
    file = folder / KEY_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [one.name for one in folder.iterdir()] == [KEY_FILE]
    assert b"secret" not in sealed
    assert Sealer(settings(folder)).open(sealed, "one") == b"secret"
    assert Sealer(settings(folder)).seal(b"secret", "one") != sealed
    assert len(file.read_text().strip()) == 64


def test_what_is_sealed_opens_for_its_purpose_and_with_its_key_only(tmp_path: Path) -> None:
    sealer = Sealer(settings(tmp_path))
    sealed = sealer.seal(b"secret", "factor 1 of user 1")
    broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
    attempts: tuple[Callable[[], object], ...] = (
        lambda: sealer.open(sealed, "factor 1 of user 2"),
        lambda: sealer.open(broken, "factor 1 of user 1"),
        lambda: sealer.open(b"", "factor 1 of user 1"),
        lambda: Sealer(settings(tmp_path, "k" * 32)).open(sealed, "factor 1 of user 1"),
        lambda: Sealer(settings(tmp_path / "other")).open(sealed, "factor 1 of user 1"),
    )
    for attempt in attempts:
        with pytest.raises(Unreadable):
            attempt()
    assert not (tmp_path / "other").exists()


def test_a_key_from_the_settings_leaves_no_file(tmp_path: Path) -> None:
    sealed = Sealer(settings(tmp_path, "k" * 32)).seal(b"secret", "x")
    assert Sealer(settings(tmp_path / "elsewhere", "k" * 32)).open(sealed, "x") == b"secret"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(Unavailable):
        Sealer(settings(tmp_path / "data")).seal(b"secret", "x")
