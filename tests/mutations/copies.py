"""A copy of what the tests of the Python code need, in which a defence can be taken out, and pytest in there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from documents.source import ROOT
from tests.mutations.table import Mutation

PACKAGES = ("protocol", "agent", "backend", "cli")
WHOLE = (*PACKAGES, "tests", "tools", "benchmarks", "deploy", "requirements", "docs")
SINGLE = ("conftest.py", "pyproject.toml", "Makefile")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "static", ".hypothesis", "results")
_DEADLINE_S = 600.0


class Copy:
    """This checkout at ``folder``, without what is built or fetched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in WHOLE:
            shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
        for name in SINGLE:
            shutil.copy(ROOT / name, folder / name)

    def plant(self, mutation: Mutation) -> None:
        """Take the defence out."""
        path = self.folder / mutation.file
        path.write_text(path.read_text(encoding="utf-8").replace(mutation.text, mutation.instead), encoding="utf-8")

    def restore(self, mutation: Mutation) -> None:
        """Put it back."""
        shutil.copy(ROOT / mutation.file, self.folder / mutation.file)

    def test(self, *names: str) -> tuple[int, str]:
        """pytest's exit code, and what it printed, for these tests; on SQLite where they are for several databases."""
        paths = os.pathsep.join(str(self.folder / name) for name in PACKAGES)
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        env.pop("PYTEST_XDIST_WORKER", None)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not postgresql", *names]
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False, timeout=_DEADLINE_S
        )
        return done.returncode, done.stdout
