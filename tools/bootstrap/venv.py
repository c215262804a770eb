"""The virtual environment `.venv`, made anew when it is missing, broken, moved or of another Python."""

import os
import shutil
import sys
from pathlib import Path

from bootstrap.console import SetupError, say, step
from bootstrap.places import PYTHON, REQUIREMENTS, ROOT, SCRATCH, VENV
from bootstrap.process import run, works
from bootstrap.stamps import Stamps, digest

STAMPS = VENV / ".deployx-setup.json"
_PROBE = "import pip, sys; print(sys.version_info[:2] >= (3, 11), sys.prefix != sys.base_prefix)"


def ensure() -> None:
    """Leave a `.venv` that works and belongs to this checkout."""
    if VENV.is_symlink() or (VENV.exists() and not VENV.is_dir()):
        raise SetupError(f"{VENV} is not a folder. Remove it, then run the same command again.")
    if VENV.exists():
        if _usable():
            return
        say("  .venv is unfinished, broken or was moved here: making it again")
        shutil.rmtree(VENV)
    with step(f"Making .venv with Python {'.'.join(map(str, sys.version_info[:3]))}"):
        if not _by_venv():
            _by_virtualenv()
        Stamps(STAMPS).put("root", str(ROOT))


def _usable() -> bool:
    if not Stamps(STAMPS).matches("root", str(ROOT)):
        return False
    return (works([PYTHON, "-c", _PROBE]) or "").strip() == "True True"


def _by_venv() -> bool:
    """The standard library's way. A stock Debian has no ensurepip: then it fails and leaves a broken folder."""
    made = works([sys.executable, "-m", "venv", VENV]) is not None
    if made and works([PYTHON, "-c", "import pip"]) is not None:
        return True
    shutil.rmtree(VENV, ignore_errors=True)
    return False


def _by_virtualenv() -> None:
    if works([sys.executable, "-m", "pip", "--version"]) is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python {version} here has neither `venv` nor `pip`. "
            f"On Debian or Ubuntu: apt-get install python{version}-venv, then run the same command again."
        )
    lock = REQUIREMENTS / "virtualenv.txt"
    target = SCRATCH / "virtualenv"
    stamps = Stamps(target / "stamp.json")
    if not stamps.matches("lock", digest([lock])):
        shutil.rmtree(target, ignore_errors=True)
        # `--target` is what PEP 668 allows where it refuses a plain install.
        env = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_RETRIES": "2"}
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--target", str(target), "-r", str(lock)]
        run(command, "fetch virtualenv (this Python has no `venv`)", env=env)
        stamps.put("lock", digest([lock]))
    env = {**os.environ, "PYTHONPATH": str(target)}
    run([sys.executable, "-m", "virtualenv", "-q", "--no-periodic-update", str(VENV)], "make .venv", env=env)


def scratch() -> Path:
    """The folder for what the set-up needs itself."""
    SCRATCH.mkdir(exist_ok=True)
    return SCRATCH
