"""The dashboard is built again when its sources changed, and not otherwise."""

from pathlib import Path

import pytest

from bootstrap import dashboard, node, stamps


class Npm:
    """Stands where npm is: remembers what it was asked, and leaves a build."""

    def __init__(self, dist: Path) -> None:
        self.asked: list[str] = []
        self._dist = dist

    def __call__(self, command: list[str], *_: object, **__: object) -> str:
        self.asked.append(command[1] if command[1] != "run" else command[2])
        if self.asked[-1] == "build":
            self._dist.mkdir(parents=True)
            (self._dist / "index.html").write_text("built")
        return ""


@pytest.fixture
def frontend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "frontend"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.jsx").write_text("one")
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_text("{}")
    monkeypatch.setattr(stamps, "ROOT", tmp_path)
    monkeypatch.setattr(dashboard, "FRONTEND", folder)
    monkeypatch.setattr(dashboard, "_STAMPS", tmp_path / "stamps.json")
    monkeypatch.setattr(dashboard, "_MODULES", folder / "node_modules")
    monkeypatch.setattr(dashboard, "_DIST", folder / "dist")
    monkeypatch.setattr(node, "environment", lambda: {"PATH": ""})
    return folder


@pytest.fixture
def npm(frontend: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    npm = Npm(frontend / "dist")
    monkeypatch.setattr(dashboard, "run", npm)
    return npm


def test_only_what_changed_is_done_again(frontend: Path, npm: Npm) -> None:
    dashboard.ensure(modules=False)
    assert npm.asked == ["ci", "build"]
    dashboard.ensure(modules=True)
    assert npm.asked == ["ci", "build"]

    (frontend / "src" / "main.jsx").write_text("two")
    dashboard.ensure(modules=False)
    assert npm.asked == ["ci", "build", "build"]

    (frontend / "package-lock.json").write_text('{"changed": 1}')
    dashboard.ensure(modules=False)
    assert npm.asked == ["ci", "build", "build", "ci", "build"]


def test_a_build_that_is_gone_is_made_again(frontend: Path, npm: Npm) -> None:
    dashboard.ensure(modules=False)
    (frontend / "dist" / "index.html").unlink()
    dashboard.ensure(modules=False)
    assert npm.asked == ["ci", "build", "build"]


def test_tests_need_the_modules_even_beside_a_build(frontend: Path, npm: Npm) -> None:
    dashboard.ensure(modules=False)
    (frontend / "node_modules" / ".deployx-setup.json").unlink()
    dashboard.ensure(modules=False)
    assert npm.asked == ["ci", "build"], "a build is all it takes to run"
    dashboard.ensure(modules=True)
    assert npm.asked == ["ci", "build", "ci"]
