"""Salt from PyPI in a virtual environment of its own, made once and kept."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VERSION = "3008.4"
_INSTALL_S = 900.0
"""It is built from its sources, which takes minutes on a machine with other work."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Salt cannot be measured here."""

    why: str


def install(folder: Path) -> Path | Missing:
    """The folder of its programs, or why there is none."""
    done = folder / f"installed-{VERSION}"
    programs = folder / "bin"
    if done.exists():
        return programs
    uv = Path(sys.executable).parent / "uv"
    python = programs / "python"
    commands: tuple[tuple[str | Path, ...], ...] = (
        (uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder),
        (uv, "pip", "install", "--quiet", "--python", python, f"salt=={VERSION}"),
        (programs / "salt-minion", "--version"),
    )
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.CalledProcessError as error:
        lines = [line for line in str(error.stderr or error.stdout).splitlines() if line.strip()]
        return Missing(f"it could not be installed: {lines[-1].strip() if lines else error}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Missing(f"it could not be installed: {error}")
    done.touch()
    return programs
