"""The Python packages are installed again when a lock or a package of ours changed, and not otherwise."""

from pathlib import Path

import pytest

from bootstrap import packages, stamps, uv


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements").mkdir()
    for name in ("dev.txt", "run.txt", "uv.txt"):
        (tmp_path / "requirements" / name).write_text(name)
    for name in ("agent", "backend"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(stamps, "ROOT", tmp_path)
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    monkeypatch.setattr(packages, "REQUIREMENTS", tmp_path / "requirements")
    monkeypatch.setattr(packages, "BIN", tmp_path / "bin")
    monkeypatch.setattr(packages, "STAMPS", tmp_path / "stamps.json")
    monkeypatch.setattr(packages, "OWN_PACKAGES", ("agent", "backend"))
    return tmp_path


@pytest.fixture
def synced(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The locks that were installed, in order."""
    locks: list[str] = []

    def run(command: list[str | Path], *_: object, **__: object) -> str:
        words = [str(word) for word in command]
        if "sync" in words:
            locks.append(Path(words[-1]).name)
        if "--no-deps" in words:
            for name in ("deployx-server", "deployx-agent", "deployx"):
                (checkout / "bin" / name).write_text("")
        return ""

    monkeypatch.setattr(packages, "run", run)
    monkeypatch.setattr(uv, "run", run)
    return locks


def test_what_was_installed_is_not_installed_again(synced: list[str]) -> None:
    packages.ensure(development=False)
    packages.ensure(development=False)
    assert synced == ["run.txt"]
    packages.ensure(development=True)
    packages.ensure(development=True)
    assert synced == ["run.txt", "dev.txt"]


def test_an_environment_for_tests_is_not_cut_back_to_run(checkout: Path, synced: list[str]) -> None:
    packages.ensure(development=True)
    packages.ensure(development=False)
    assert synced == ["dev.txt"]
    (checkout / "backend" / "pyproject.toml").write_text("changed")
    packages.ensure(development=False)
    assert synced == ["dev.txt", "dev.txt"]


@pytest.mark.parametrize("changed", ["requirements/run.txt", "requirements/uv.txt", "agent/pyproject.toml"])
def test_a_change_installs_again(checkout: Path, synced: list[str], changed: str) -> None:
    packages.ensure(development=False)
    (checkout / changed).write_text("changed")
    packages.ensure(development=False)
    assert synced == ["run.txt", "run.txt"]


def test_a_command_that_is_gone_installs_again(checkout: Path, synced: list[str]) -> None:
    packages.ensure(development=False)
    (checkout / "bin" / "deployx-agent").unlink()
    packages.ensure(development=False)
    assert synced == ["run.txt", "run.txt"]


def test_an_installation_that_broke_off_is_done_again(
    checkout: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packages.ensure(development=False)
    (checkout / "requirements" / "run.txt").write_text("changed")

    def broken(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(packages, "run", broken)
        packages.ensure(development=False)
    (checkout / "requirements" / "run.txt").write_text("run.txt")
    packages.ensure(development=False)
    assert synced == ["run.txt", "run.txt"]
