"""Programs from PyPI that get an environment of their own, so that what they need does not mix with what we need."""

import os
import shutil
import sys
from pathlib import Path

from bootstrap import uv
from bootstrap.console import step
from bootstrap.index import uv_environment
from bootstrap.places import REQUIREMENTS, SCRATCH
from bootstrap.process import run
from bootstrap.stamps import Stamps, digest


def folder(name: str) -> Path:
    """Where the programs of ``name`` are, once they are there."""
    return SCRATCH / name / ("Scripts" if os.name == "nt" else "bin")


def ensure(name: str, program: str, title: str) -> Path:
    """The folder with ``program``, as ``requirements/<name>.txt`` locks it. Fetches it if it is not there.

    Raises SetupError.
    """
    lock, place = REQUIREMENTS / f"{name}.txt", SCRATCH / name
    stamps = Stamps(place / "stamp.json")
    if stamps.matches("lock", digest([lock])) and (folder(name) / program).exists():
        return folder(name)
    with step(title):
        shutil.rmtree(place, ignore_errors=True)
        uv.ensure()
        env = uv_environment()
        python = folder(name) / ("python.exe" if os.name == "nt" else "python")
        run([uv.PROGRAM, "venv", "--quiet", "--python", sys.executable, place], f"make a place for {name}", env=env)
        install: list[str | Path] = [uv.PROGRAM, "pip", "install", "--quiet", "--python", python]
        install += ["--require-hashes", "-r", lock]
        run(install, f"fetch {name}", env=env)
        stamps.put("lock", digest([lock]))
    return folder(name)
